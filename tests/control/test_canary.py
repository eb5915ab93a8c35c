import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from hostd.control.apps import destroy_app
from hostd.control.canary import canary_of, end_canaries, end_canary
from hostd.control.scale import scale
from hostd.errors import CanaryFailed, HostdError, Invalid, NotFound, Unavailable
from hostd.model.app import User
from hostd.model.canary import CanaryRule
from hostd.model.release import ReleaseState
from hostd.model.route import Share, ToInstances
from hostd.transcript import Transcript
from tests.control.house import House, image_of
from tests.eventually import until
from tests.fakes_control import static_image
from tests.model.test_traffic import record

LIVE, FAILED, RETIRED = ReleaseState.LIVE, ReleaseState.FAILED, ReleaseState.RETIRED
RULE = CanaryRule(weight=25, seconds=60)


@asynccontextmanager
async def pushing(house: House, *options: str) -> AsyncIterator[asyncio.Task[Transcript]]:
    """A push whose canary is under way; afterwards it has ended."""
    task = asyncio.create_task(house.push("main", *options, said=house.said))
    try:
        await until(lambda: task.done() or share(house) is not None)
        yield task
        await asyncio.wait({task}, timeout=10)
        assert task.done(), "the push goes on and on"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def share(house: House) -> Share | None:
    return house.route.share


def served(house: House, release: str, count: int, status: int = 200) -> None:
    """So many requests in the second before the last."""
    house.clock[0] += timedelta(seconds=2)
    for _ in range(count):
        house.platform.traffic.note(record(house.clock[0].timestamp() - 1, status=status, release=release))


async def failure(task: asyncio.Task[Transcript]) -> str:
    with pytest.raises(CanaryFailed) as caught:
        await task
    return caught.value.message


async def test_destroying_the_app_does_not_wait_for_its_canary(house: House) -> None:
    await house.push()
    house.builder.image = image_of(dict(RULE.labels), web="serve 200")
    async with pushing(house) as task:
        async with asyncio.timeout(5):
            await destroy_app(house.platform, house.app, house.ada, "shop")
        assert "the app is destroyed" in await failure(task)
    assert house.engine.running == []


async def test_a_canary_that_stands_its_time_goes_live(house: House) -> None:
    house.builder.image = image_of(web="serve 200", worker="sleep 99")
    await house.push()
    house.builder.image = replace(house.builder.image, labels=RULE.labels)
    async with pushing(house) as task:
        shared = share(house)
        assert shared and (shared.release, shared.percent) == ("v2", 25)
        assert isinstance(shared.target, ToInstances) and len(shared.target.endpoints) == 1
        assert house.route.release == "v1"
        assert house.running == ["web-v1", "web-v2", "worker-v1"], "workers are not tried"
        served(house, "v2", 30)
        house.clock[0] += timedelta(seconds=RULE.seconds)
        await task
    assert (house.route.release, share(house)) == ("v2", None)
    await house.settled()
    assert house.running == ["web-v2", "worker-v2"]
    assert await house.states() == [RETIRED, LIVE]
    assert "-----> v2 gets 25 % of the requests for 60 s" in house.said.lines
    assert house.platform.canaries == {}


async def test_a_canary_that_breaks_rejects_the_push_and_the_old_one_serves(house: House) -> None:
    await house.push()
    tip = house.tip("main")
    async with pushing(house, "canary=10") as task:
        served(house, "v1", 100)
        served(house, "v2", 30, status=500)
    said = "canary failed: 100 % of 30 requests got 5xx, at most 1 % allowed (old: 0 %)"
    assert await failure(task) == said
    assert (house.route.release, share(house), house.tip("main")) == ("v1", None, tip)
    await house.settled()
    assert house.running == ["web-v1"]
    assert [(each.state, each.failure) for each in await house.stored()] == [(FAILED, said), (LIVE, "")]


async def test_what_the_old_release_does_breaks_no_canary(house: House) -> None:
    await house.push()
    async with pushing(house, "canary") as task:
        served(house, "v1", 100, status=500)
        served(house, "v2", 100)
        house.clock[0] += timedelta(seconds=300)
        await task
    assert house.route.release == "v2"


async def test_a_canary_that_ends_by_itself_breaks(house: House) -> None:
    await house.push()
    async with pushing(house, "canary") as task:
        for life in house.engine.machine.lives.values():
            if life.instance.spec.release == 2:
                life.acting.cancel()
    assert await failure(task) == "canary failed: web exited with status 143 (SIGTERM)"
    await house.settled()
    assert house.running == ["web-v1"]


@pytest.mark.parametrize("promote", [True, False])
async def test_somebody_may_end_it_either_way(house: House, promote: bool) -> None:
    await house.push()
    async with pushing(house, "canary") as task:
        assert canary_of(house.platform, house.production).status.new == "v2"
        if promote:
            served(house, "v2", 30, status=500)
        end_canary(house.platform, house.app, house.ada, house.production, promote=promote)
    if promote:
        await task
    else:
        assert await failure(task) == "canary failed: ada ended it"
    assert house.route.release == ("v2" if promote else "v1")
    with pytest.raises(NotFound, match="no canary is under way"):
        end_canary(house.platform, house.app, house.ada, house.production, promote=promote)


async def test_nobody_else_may_end_it(house: House) -> None:
    await house.push()
    async with pushing(house, "canary"):
        with pytest.raises(NotFound, match="there is no app"):
            end_canary(house.platform, house.app, User(99, "bob", False), house.production, promote=True)
        end_canary(house.platform, house.app, house.ada, house.production, promote=True)


async def test_when_hostd_stops_the_old_release_has_all_requests(house: House) -> None:
    await house.push()
    async with pushing(house, "canary") as task:
        await end_canaries(house.platform)
        assert (house.route.release, share(house)) == ("v1", None)
    assert await failure(task) == "canary failed: hostd was stopped"


async def test_what_cannot_be_started_after_it_takes_it_back(house: House) -> None:
    await house.push()
    house.builder.image = image_of(web="serve 200", worker="sleep 99")
    async with pushing(house, "canary") as task:
        house.engine.refuse = {"worker": "no room left"}
        end_canary(house.platform, house.app, house.ada, house.production, promote=True)
    with pytest.raises(Unavailable, match="no room left"):
        await task
    await house.settled()
    assert (house.running, house.route.release, share(house)) == (["web-v1"], "v1", None)


async def test_a_part_of_the_instances_that_is_as_large_as_that_of_the_requests_is_tried(
    house: House,
) -> None:
    await house.push()
    await scale(house.platform, house.app, house.production, house.ada, {"web": 8}, house.said)
    async with pushing(house, "canary=25"):
        assert house.running.count("web-v2") == 2
        end_canary(house.platform, house.app, house.ada, house.production, promote=True)
    await house.settled()
    assert house.running == ["web-v2"] * 8


async def test_a_sleeping_app_is_woken_for_it(house: House) -> None:
    await house.push()
    assert await house.keeper.fall_asleep()
    async with pushing(house, "canary"):
        assert isinstance(house.route.target, ToInstances)
        assert not house.keeper.asleep
        end_canary(house.platform, house.app, house.ada, house.production, promote=True)


async def test_the_first_release_has_none_and_a_push_may_do_without(house: House) -> None:
    house.builder.image = image_of(dict(RULE.labels))
    said = await house.push()
    assert "       no canary: there is nothing to compare with" in said.lines
    await house.push("main", "canary=0")
    assert house.route.release == "v2"


async def test_a_preview_has_one_only_if_the_push_asks_for_it(house: House) -> None:
    house.builder.image = image_of(dict(RULE.labels))
    await house.push("topic")
    await house.push("topic")
    assert house.router.routes["topic--shop.localhost"].release == "v2"


async def test_a_static_site_has_none_and_says_why(house: House) -> None:
    house.builder.image = static_image(house.platform.data / "other")
    await house.push()
    with pytest.raises(HostdError, match="a static site has none"):
        await house.push("main", "canary")
    assert await house.states() == [LIVE, FAILED]


async def test_what_is_no_percentage_is_refused_before_anything_is_built(house: House) -> None:
    with pytest.raises(Invalid, match="is no percentage"):
        await house.push("main", "canary=ten")
    assert house.builder.built == []


async def test_who_has_to_wait_for_it_is_told_what_it_is(house: House) -> None:
    await house.push()
    said = Transcript()
    async with pushing(house, "canary"):
        scaling = asyncio.create_task(
            scale(house.platform, house.app, house.production, house.ada, {"web": 2}, said)
        )
        await until(lambda: len(said.lines) > 1)
        assert "waiting for it to end" in said.lines[0]
        assert "hostd canary promote, or hostd canary abort" in said.lines[1]
        end_canary(house.platform, house.app, house.ada, house.production, promote=True)
    assert await scaling == {"web": 2}
