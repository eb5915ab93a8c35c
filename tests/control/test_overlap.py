"""Process types that are replaced without overlap."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection

from hostd.control.rollout import rollout
from hostd.errors import RolloutFailed, Unavailable
from hostd.model.image import Image
from hostd.model.instance import Instance, InstanceState
from hostd.model.terms import Terms
from tests.control.house import House, image_of
from tests.eventually import until

WORKER = ("worker", 1)
ALONE = Terms(overlap="no").labels("worker")


def image(worker: str = "sleep 99", **labels: str) -> Image:
    return image_of({**ALONE, **labels}, web="serve 200", worker=worker)


def watch_stops(house: House) -> list[tuple[str, list[str]]]:
    """What runs each time an Instance is told to stop."""
    seen: list[tuple[str, list[str]]] = []
    stop = house.engine.stop

    async def noting(instance: Instance, grace: float) -> bool:
        seen.append((f"{instance.spec.process}-v{instance.spec.release}", house.running))
        return await stop(instance, grace)

    house.engine.stop = noting  # type: ignore[method-assign]
    return seen


async def test_the_old_one_ends_before_the_new_one_starts_and_the_web_overlaps(house: House) -> None:
    await house.deploy(image())
    seen = watch_stops(house)
    await house.deploy(image())
    await house.settled()
    assert seen == [("worker-v1", ["web-v1", "web-v2", "worker-v1"])]
    assert (house.running, house.kept_frozen) == (["web-v2", "worker-v2"], ["web-v1"])
    assert "       stopping worker of v1 first: no overlap" in house.said.lines


async def test_the_first_release_has_nobody_to_wait_for(house: House) -> None:
    await house.deploy(image())
    assert house.running == ["web-v1", "worker-v1"]
    assert not any("no overlap" in line for line in house.said.lines)


async def test_the_old_one_is_started_again_if_the_new_one_fails(house: House) -> None:
    await house.deploy(image())
    with pytest.raises(RolloutFailed, match="worker exited with status 3 at once"):
        await house.deploy(image("exit 3"))
    await until(lambda: house.running == ["web-v1", "worker-v1"])
    assert house.said.lines[-1] == "       starting worker of v1 again"
    house.end("worker")
    await until(lambda: house.running == ["web-v1"])
    await until(lambda: house.running == ["web-v1", "worker-v1"])  # it is watched as before


async def test_what_slept_is_not_woken_by_a_release_that_fails(house: House) -> None:
    await house.deploy(image())
    house.keeper.sleeps = lambda _: True  # type: ignore[method-assign,assignment]  # as in a preview
    assert await house.keeper.fall_asleep()
    with pytest.raises(RolloutFailed):
        await house.deploy(image("exit 3"))
    assert house.running == ["web-v1"]
    assert (house.keeper.asleep, house.keeper.places[WORKER].state) == (True, InstanceState.STOPPED)
    await house.keeper.wake()
    await until(lambda: house.running == ["web-v1", "worker-v1"])


async def test_nothing_is_stopped_for_a_release_whose_web_fails(house: House) -> None:
    await house.deploy(image())
    before = house.keeper.places[WORKER].instance
    with pytest.raises(RolloutFailed):
        await house.deploy(image_of(ALONE, web="exit 1", worker="sleep 99"))
    assert house.keeper.places[WORKER].instance == before


@pytest.mark.parametrize("where", ["router", "store"])
async def test_the_old_one_is_started_again_if_the_switch_fails(house: House, where: str) -> None:
    def store(_: Connection) -> None:
        if where == "store":
            raise Unavailable("the disk is full")

    await house.deploy(image())
    house.router.refuse = "the router is down" if where == "router" else ""
    with pytest.raises(Unavailable):
        await rollout(house.platform, house.production, await house.release(image()), house.said, store)
    house.router.refuse = ""
    await until(lambda: house.running == ["web-v1", "worker-v1"])


async def test_who_is_cancelled_while_the_old_one_ends_starts_it_again(house: House) -> None:
    await house.deploy(image("trap '' TERM; sleep 99", **Terms(grace_seconds=0.3).labels()))
    deploying = asyncio.create_task(house.deploy(image()))
    await until(lambda: WORKER not in house.keeper.places)
    deploying.cancel()
    await asyncio.gather(deploying, return_exceptions=True)
    await until(lambda: house.running == ["web-v1", "worker-v1"])


async def test_the_grace_is_the_one_its_app_asks_for(house: House) -> None:
    await house.deploy(image("trap '' TERM; sleep 99", **Terms(grace_seconds=0.1).labels("worker")))
    await house.deploy(image())
    await house.settled()
    assert house.running == ["web-v2", "worker-v2"]
    assert [line.text for line in house.logged] == [
        "worker did not end within 0.1 s of SIGTERM and was killed (R12)"
    ]


async def test_each_process_type_may_lower_its_limits(house: House, tmp_path: Path) -> None:
    labels = Terms(memory_mb=300, cpus=2).labels() | Terms(memory_mb=64, cpus=0.5).labels("worker")
    await house.deploy(image_of(labels, web="serve 200", worker="sleep 99", release="exit 0"))
    given = {each.spec.process: each.spec.limits for each in house.keeper.instances}
    assert (given["web"].memory_mb, given["web"].cpus) == (300, 2)
    assert (given["worker"].memory_mb, given["worker"].cpus) == (64, 0.5)
    assert house.engine.tasks[0].limits.memory_mb == 300
