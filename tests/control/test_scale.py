import asyncio

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from hostd.control.scale import QUANTITY_LIMIT, TOTAL_LIMIT, apply_formation, processes_of, scale
from hostd.errors import Conflict, Invalid, LimitExceeded, NotFound, Unavailable
from hostd.model.app import User
from hostd.model.instance import InstanceState
from hostd.model.route import ToError, ToInstances
from hostd.store import formation
from tests.control.house import House, image_of
from tests.eventually import until

IMAGE = image_of(worker="sleep 99", web="serve 200", release="exit 0")


async def put(house: House, **quantities: int) -> dict[str, int]:
    changed = await scale(house.platform, house.app, house.production, house.ada, quantities, house.said)
    return dict(changed)


def endpoints(house: House) -> int:
    assert isinstance(house.route.target, ToInstances)
    return len(house.route.target.endpoints)


async def test_more_are_started_and_routed_and_what_is_too_much_is_drained(house: House) -> None:
    await house.deploy(IMAGE)
    assert await put(house, web=3) == {"web": 3, "worker": 1}
    assert house.running == ["web-v1"] * 3 + ["worker-v1"]
    assert endpoints(house) == 3
    house.router.under_way = 1
    assert await put(house, web=1, worker=0) == {"web": 1, "worker": 0}
    assert (endpoints(house), len(house.running)) == (1, 4)
    house.router.under_way = 0
    await house.settled()
    assert house.running == ["web-v1"]
    assert await house.platform.db.read(formation.of, house.production.id) == {"web": 1, "worker": 0}


async def test_the_next_release_keeps_the_quantities(house: House) -> None:
    await house.deploy(IMAGE)
    await put(house, web=2, worker=0)
    await house.deploy(IMAGE)
    await house.settled()
    assert house.running == ["web-v2", "web-v2"]


@pytest.mark.parametrize("name", ["clock", "release", "", "x" * 200])
async def test_an_unknown_process_type_is_refused(house: House, name: str) -> None:
    await house.deploy(IMAGE)
    with pytest.raises(Invalid, match=r"there is no process type .*; this release has worker, web"):
        await put(house, **{name: 1})


@pytest.mark.parametrize("quantity", [-1, QUANTITY_LIMIT + 1])
async def test_quantities_have_limits_and_nothing_changes_if_one_is_wrong(
    house: House, quantity: int
) -> None:
    await house.deploy(IMAGE)
    with pytest.raises(Invalid, match=f"worker={quantity} is out of range: 0 to {QUANTITY_LIMIT}"):
        await put(house, web=2, worker=quantity)
    assert house.running == ["web-v1", "worker-v1"]


async def test_what_cannot_be_started_changes_nothing(house: House) -> None:
    await house.deploy(IMAGE)
    house.engine.refuse = {"worker": "no room left"}
    with pytest.raises(Unavailable, match="no room left"):
        await put(house, web=2, worker=2)
    assert house.running == ["web-v1", "worker-v1"]
    assert endpoints(house) == 1
    assert await house.platform.db.read(formation.of, house.production.id) == {}


async def test_what_cannot_be_stored_leaves_nothing_running(house: House) -> None:
    def refuse(connection: Connection) -> None:
        connection.execute(
            text("CREATE TRIGGER no BEFORE INSERT ON formation BEGIN SELECT RAISE(ABORT, 'no'); END")
        )

    await house.deploy(IMAGE)
    await house.platform.db.call(refuse)
    with pytest.raises(IntegrityError):
        await put(house, web=3, worker=0)
    assert house.running == ["web-v1", "worker-v1"]
    assert endpoints(house) == 1


async def test_what_cannot_be_published_is_stored_and_kept(house: House) -> None:
    await house.deploy(IMAGE)
    house.router.refuse = "the router is down"
    with pytest.raises(Unavailable, match="the router is down"):
        await put(house, web=2, worker=0)
    house.router.refuse = ""
    await house.settled()
    assert house.running == ["web-v1", "web-v1"]
    assert len(house.keeper.instances) == 2
    assert await house.platform.db.read(formation.of, house.production.id) == {"web": 2, "worker": 0}


async def test_who_goes_away_before_all_answer_leaves_all_as_it_was(house: House) -> None:
    await house.deploy(image_of(web="serve 200", worker="sleep 99"))
    scaling = asyncio.create_task(put(house, web=2, worker=3))
    await until(lambda: len(house.running) == 5)  # the workers have to live for a moment yet
    scaling.cancel()
    await asyncio.gather(scaling, return_exceptions=True)
    assert house.running == ["web-v1", "worker-v1"]
    assert await house.platform.db.read(formation.of, house.production.id) == {}


async def test_there_is_a_limit_for_all_process_types_together(house: House) -> None:
    await house.deploy(image_of(one="exit 0", two="exit 0", three="exit 0"))
    quantities = dict.fromkeys(("one", "two", "three"), QUANTITY_LIMIT)
    with pytest.raises(LimitExceeded, match=f"makes 300 instances; an app may have {TOTAL_LIMIT} in all"):
        await put(house, **quantities)


@pytest.mark.parametrize("stopped", [False, True])
async def test_what_sleeps_is_woken_before_it_is_scaled(house: House, stopped: bool) -> None:
    await house.deploy(IMAGE)
    await house.keeper.fall_asleep()
    if stopped:
        await house.keeper.stop_frozen()
    assert await put(house, web=3) == {"web": 3, "worker": 1}
    await house.settled()
    assert house.running == ["web-v1"] * 3 + ["worker-v1"]
    assert [place.state for place in house.keeper.places.values()] == [InstanceState.RUNNING] * 4
    assert house.route.target == ToInstances(
        tuple(i.endpoint for i in house.keeper.instances if i.spec.process == "web"), asleep=False
    )


async def test_workers_are_scaled_while_the_web_sleeps(house: House) -> None:
    await house.deploy(IMAGE)
    await house.keeper.fall_asleep()
    await put(house, worker=2)
    await house.settled()
    assert isinstance(house.route.target, ToInstances)
    assert (house.route.target.asleep, house.running) == (True, ["web-v1", "worker-v1", "worker-v1"])


async def test_what_sleeps_and_cannot_be_started_can_be_scaled_to_none_and_back(house: House) -> None:
    await house.deploy(IMAGE)
    await house.keeper.fall_asleep()
    await house.keeper.stop_frozen()
    house.engine.refuse = {"web": "no room left"}
    with pytest.raises(Unavailable, match="no room left"):
        await put(house, web=2)
    assert await put(house, web=0) == {"web": 0, "worker": 1}
    assert house.route.target == ToError("H14")
    house.engine.refuse = {}
    await put(house, web=1)
    assert endpoints(house) == 1


async def test_what_is_frozen_and_scaled_to_none_is_stopped(house: House) -> None:
    await house.deploy(IMAGE)
    await house.keeper.fall_asleep()
    await put(house, web=0)
    await house.settled()
    assert (house.running, house.route.target) == (["worker-v1"], ToError("H14"))
    await put(house, web=2)
    await house.settled()
    assert (endpoints(house), house.keeper.asleep) == (2, False)


async def test_a_wake_beside_a_scaling_to_none_leaves_nothing(house: House) -> None:
    await house.deploy(IMAGE)
    await house.keeper.fall_asleep()
    await house.keeper.stop_frozen()
    waking = asyncio.create_task(house.keeper.wake())
    await until(lambda: "web-v1" in house.running)
    await put(house, web=0)
    await waking
    await house.settled()
    assert (house.running, house.route.target) == (["worker-v1"], ToError("H14"))


async def test_scaling_needs_nobody_and_waits_for_its_turn(house: House) -> None:
    await house.deploy(IMAGE)
    async with house.platform.lock(house.production):
        scaling = asyncio.create_task(
            apply_formation(house.platform, house.production, {"web": 2}, house.said)
        )
        for _ in range(100):
            await asyncio.sleep(0)
        assert endpoints(house) == 1
    assert await scaling == {"web": 2, "worker": 1}


async def test_before_the_first_push_there_is_nothing_to_scale(house: House) -> None:
    with pytest.raises(Conflict, match="nothing is deployed yet"):
        await put(house, web=1)
    assert processes_of(house.platform, house.production) == []


async def test_somebody_elses_app_cannot_be_scaled(house: House) -> None:
    with pytest.raises(NotFound):
        await scale(
            house.platform, house.app, house.production, User(99, "bob", False), {"web": 1}, house.said
        )


async def test_what_runs_is_told_web_first(house: House) -> None:
    await house.deploy(IMAGE)
    await put(house, worker=2)
    web, *workers = processes_of(house.platform, house.production)
    assert (web.process, web.state, web.release, web.restarts) == ("web", InstanceState.RUNNING, "v1", 0)
    assert (web.command, web.since) == ("sh -c serve 200", house.clock[0])
    assert web.endpoint.startswith("127.0.0.1:")
    assert [each.process for each in workers] == ["worker", "worker"]
