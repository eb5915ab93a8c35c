import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hostd.control.keeper import Keeper
from hostd.control.rollout import rollout
from hostd.control.sleep import PREVIEW_IDLE, Sleeper, SleepTimes, set_sleep, sleep_of
from hostd.errors import Invalid, Unavailable
from hostd.model.image import Image
from hostd.model.instance import Endpoint, InstanceState
from hostd.model.log import RequestRecord
from hostd.model.route import ToError, ToInstances
from hostd.store import environments, releases
from tests.control.house import COMMIT, HOST, House, house_in, image_of
from tests.eventually import until
from tests.fakes_control import FakeRouter

WEB = ("web", 1)
AFTER = 10
RECLAIM_AFTER, STOP_AFTER = 60, 3600


@dataclass
class Clock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


class CountingRouter(FakeRouter):
    """Has so many requests under way, one number for each time it is asked, then none."""

    def __init__(self, *counts: int) -> None:
        super().__init__()
        self.counts = list(counts)
        self.frozen: list[bool] = []
        self.house: House | None = None

    async def in_flight(self, endpoints: Sequence[Endpoint]) -> int:
        if self.house:
            self.frozen.append(frozen(self.house))
        return self.counts.pop(0) if self.counts else 0


@dataclass
class Bed:
    """A House whose production is deployed and may sleep after AFTER seconds."""

    house: House
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        times = SleepTimes(RECLAIM_AFTER, STOP_AFTER)
        self.sleeper = Sleeper(self.house.platform, times, self.clock)

    async def make(self) -> "Bed":
        await self.house.deploy()
        await set_sleep(self.house.platform, self.house.app, self.house.ada, self.house.production, AFTER)
        await self.sleeper.look()
        return self

    async def pass_by(self, seconds: float) -> None:
        self.clock.seconds += seconds
        await self.sleeper.look()


def asleep(house: House) -> bool:
    return isinstance(house.route.target, ToInstances) and house.route.target.asleep


def frozen(house: House) -> bool:
    return any(house.engine.frozen(instance) for instance in house.keeper.instances)


def state(house: House) -> InstanceState:
    return house.keeper.places[WEB].state


def states(keeper: Keeper) -> dict[str, InstanceState]:
    return {slot[0]: place.state for slot, place in keeper.places.items()}


async def test_who_is_not_asked_for_long_enough_sleeps_and_wakes_when_asked(house: House) -> None:
    bed = await Bed(house).make()
    await bed.pass_by(AFTER - 1)
    assert (asleep(house), frozen(house)) == (False, False)
    await bed.pass_by(1)
    assert (asleep(house), frozen(house), state(house)) == (True, True, InstanceState.FROZEN)
    assert await bed.sleeper.wake(HOST) == "ok"
    assert (frozen(house), state(house)) == (False, InstanceState.RUNNING)
    await house.settled()
    assert not asleep(house)
    await bed.pass_by(AFTER - 1)
    assert not asleep(house)


async def test_a_request_keeps_awake(house: House) -> None:
    bed = await Bed(house).make()
    watching = asyncio.create_task(bed.sleeper.run(house.router.requests()))
    bed.clock.seconds += AFTER
    house.router.served.put_nowait(_record(HOST, "shop-production"))
    await until(house.router.served.empty)
    await bed.pass_by(AFTER - 1)
    house.router.served.put_nowait(_record("www.example.com", "shop-production"))  # one of its domains
    await until(house.router.served.empty)
    await bed.pass_by(AFTER - 1)
    assert not asleep(house)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_nobody_sleeps_while_requests_are_under_way(tmp_path: Path) -> None:
    async with house_in(tmp_path, router := CountingRouter()) as house:
        await house.deploy()
        router.house, router.counts = house, [1]
        assert not await house.keeper.fall_asleep()
        assert router.frozen == [False]
        assert (asleep(house), frozen(house), state(house)) == (False, False, InstanceState.RUNNING)


async def test_a_request_that_comes_while_it_falls_asleep_is_served_at_once(tmp_path: Path) -> None:
    async with house_in(tmp_path, router := CountingRouter()) as house:
        await house.deploy()
        router.house, router.counts = house, [0, 1]
        assert not await house.keeper.fall_asleep()
        assert router.frozen == [False, True]
        assert (asleep(house), frozen(house), state(house)) == (False, False, InstanceState.RUNNING)


async def test_the_route_says_asleep_before_anything_is_frozen(tmp_path: Path) -> None:
    async with house_in(tmp_path, router := CountingRouter()) as house:
        await house.deploy()
        router.house = house
        falling = asyncio.create_task(house.keeper.fall_asleep())
        await until(lambda: asleep(house))
        assert not frozen(house)
        assert await falling
        assert frozen(house)


async def test_what_crashed_does_not_fall_asleep(house: House) -> None:
    await house.deploy()
    house.end()
    await until(lambda: house.route.target == ToError("H10"))
    assert not await house.keeper.fall_asleep()
    assert not house.keeper.asleep


async def test_workers_go_on_while_the_web_sleeps(house: House) -> None:
    await house.deploy(image_of(web="serve 200", worker="sleep 99"))
    assert await house.keeper.fall_asleep()
    assert states(house.keeper) == {"web": InstanceState.FROZEN, "worker": InstanceState.RUNNING}


async def test_the_workers_of_a_preview_sleep_with_its_web(house: House) -> None:
    topic = await _preview(house, image_of(web="serve 200", worker="sleep 99"))
    assert await topic.fall_asleep()
    assert set(states(topic).values()) == {InstanceState.FROZEN}
    await topic.wake()
    assert set(states(topic).values()) == {InstanceState.RUNNING}
    await topic.fall_asleep()
    await topic.stop_frozen()
    assert (house.running, house.engine.running) == (["web-v1"], ["shop-production-web-v1"])
    await topic.wake()
    await until(lambda: set(states(topic).values()) == {InstanceState.RUNNING})


async def test_a_worker_that_keeps_crashing_does_not_keep_its_preview_awake(house: House) -> None:
    topic = await _preview(house, image_of(web="serve 200", worker="sleep 0.6; exit 1"))
    await until(lambda: states(topic)["worker"] is InstanceState.CRASHED)
    assert await topic.fall_asleep()
    assert states(topic) == {"web": InstanceState.FROZEN, "worker": InstanceState.STOPPED}
    await topic.wake()
    await until(lambda: states(topic)["worker"] is InstanceState.RUNNING)


async def test_a_preview_that_is_asked_for_as_it_falls_asleep_has_its_workers_again(tmp_path: Path) -> None:
    async with house_in(tmp_path, router := CountingRouter()) as house:
        topic = await _preview(house, image_of(web="serve 200", worker="sleep 0.6; exit 1"))
        await until(lambda: states(topic)["worker"] is InstanceState.CRASHED)
        router.counts = [0, 1]
        assert not await topic.fall_asleep()
        await until(lambda: states(topic)["worker"] is InstanceState.RUNNING)


async def test_an_app_without_web_processes_never_sleeps(house: House) -> None:
    await house.deploy(image_of(worker="sleep 99"))
    assert not await house.keeper.fall_asleep()


async def test_what_slept_long_is_stopped_and_one_wake_for_many_starts_it_anew(house: House) -> None:
    bed = await Bed(house).make()
    await bed.pass_by(AFTER)
    await bed.pass_by(STOP_AFTER)
    assert (house.running, state(house)) == (["web-v1"], InstanceState.RECLAIMED)
    await bed.pass_by(1)
    assert (house.running, state(house), asleep(house)) == ([], InstanceState.STOPPED, True)
    assert await asyncio.gather(*(bed.sleeper.wake(HOST) for _ in range(100))) == ["ok"] * 100
    assert (house.running, state(house)) == (["web-v1"], InstanceState.RUNNING)
    assert len(house.engine.machine.lives) == 2
    await house.settled()
    assert not asleep(house)
    house.end()
    await until(lambda: house.route.target == ToError("H10"))  # it is watched again


async def test_what_slept_for_a_while_gives_its_memory_back_and_wakes_as_before(house: House) -> None:
    bed = await Bed(house).make()
    await bed.pass_by(AFTER)
    await bed.pass_by(RECLAIM_AFTER)
    assert (state(house), house.engine.machine.reclaimed) == (InstanceState.FROZEN, set())
    await bed.pass_by(1)
    assert (state(house), asleep(house), frozen(house)) == (InstanceState.RECLAIMED, True, True)
    assert len(house.engine.machine.reclaimed) == 1
    assert await bed.sleeper.wake(HOST) == "ok"
    assert (state(house), frozen(house)) == (InstanceState.RUNNING, False)


async def test_without_swap_what_sleeps_stays_frozen_until_it_is_stopped(house: House) -> None:
    bed = await Bed(house).make()
    house.engine.swap = False
    await bed.pass_by(AFTER)
    await bed.pass_by(RECLAIM_AFTER + 1)
    assert state(house) is InstanceState.FROZEN
    await bed.pass_by(STOP_AFTER)
    assert state(house) is InstanceState.STOPPED


async def test_a_wake_does_not_wait_for_memory_to_be_given_back(house: House) -> None:
    bed = await Bed(house).make()
    await bed.pass_by(AFTER)
    house.engine.reclaiming = asyncio.Event()
    reclaiming = asyncio.create_task(house.keeper.reclaim())
    await asyncio.sleep(0)
    assert await bed.sleeper.wake(HOST) == "ok"
    house.engine.reclaiming.set()
    await reclaiming
    assert (state(house), frozen(house)) == (InstanceState.RUNNING, False)


async def test_what_is_stopped_in_its_sleep_costs_no_further_publishing(house: House) -> None:
    bed = await Bed(house).make()
    await bed.pass_by(AFTER)
    await bed.pass_by(STOP_AFTER + 1)
    house.router.refuse = "nothing is to be published"
    await bed.pass_by(1)
    house.router.refuse = ""


async def test_a_wake_that_fails_is_told_and_what_sleeps_is_started_later(house: House) -> None:
    bed = await Bed(house).make()
    await house.keeper.fall_asleep()
    await house.keeper.stop_frozen()
    house.engine.refuse = {"web": "no room left"}
    assert await bed.sleeper.wake(HOST) == "H20"
    await house.settled()
    assert house.route.target == ToError("H10")
    house.engine.refuse = {}
    await until(lambda: house.running == ["web-v1"])
    await until(lambda: isinstance(house.route.target, ToInstances))


async def test_a_rollout_during_a_wake_leaves_nothing_of_the_old_release(house: House) -> None:
    bed = await Bed(house).make()
    keeper = house.keeper
    await keeper.fall_asleep()
    await keeper.stop_frozen()
    keeper.release = replace(keeper.release, image=image_of(web="sleep 99"))  # never healthy
    waking = asyncio.create_task(bed.sleeper.wake(HOST))
    await until(lambda: house.running == ["web-v1"])
    await house.deploy()
    assert await waking == "ok"
    await house.settled()
    assert house.running == ["web-v2"]
    assert (house.route.release, asleep(house)) == ("v2", False)


async def test_before_hostd_ends_what_is_frozen_goes_on_and_what_is_stopped_stays(house: House) -> None:
    await house.deploy()
    await house.keeper.thaw()
    await house.keeper.fall_asleep()
    await house.keeper.thaw()
    assert (asleep(house), frozen(house), state(house)) == (False, False, InstanceState.RUNNING)
    await house.keeper.fall_asleep()
    await house.keeper.stop_frozen()
    await house.keeper.thaw()
    assert (asleep(house), house.running, state(house)) == (True, [], InstanceState.STOPPED)


async def test_previews_sleep_by_default_and_production_does_not(house: House) -> None:
    clock, sleeper = await _with_preview(house)
    await sleeper.look()
    clock.seconds += PREVIEW_IDLE
    await sleeper.look()
    sleeping = {keeper.environment.name: keeper.asleep for keeper in house.platform.keepers.values()}
    assert sleeping == {"production": False, "topic": True}


async def test_an_environment_that_just_changes_is_left_alone(house: House) -> None:
    bed = await Bed(house).make()
    async with house.platform.lock(house.production):
        await bed.pass_by(AFTER)
    assert not asleep(house)
    await bed.pass_by(0)
    assert asleep(house)


async def test_a_push_counts_as_a_request(house: House) -> None:
    bed = await Bed(house).make()
    await bed.pass_by(AFTER)
    await bed.pass_by(STOP_AFTER + 1)
    await house.deploy()
    await bed.pass_by(0)
    assert not asleep(house)
    await bed.pass_by(AFTER)
    assert (asleep(house), frozen(house)) == (True, True)


async def test_a_host_that_nobody_has_is_not_woken(house: House) -> None:
    assert await Bed(house).sleeper.wake("other.localhost") == "H99"


async def test_who_is_awake_is_woken_without_anything_happening(house: House) -> None:
    bed = await Bed(house).make()
    before = house.route
    assert await bed.sleeper.wake(HOST) == "ok"
    assert (house.route, house.platform.background) == (before, set())


async def test_what_cannot_be_frozen_runs(house: House) -> None:
    await house.deploy()
    house.router.refuse = "the router is down"
    with pytest.raises(Unavailable):
        await house.keeper.fall_asleep()
    house.router.refuse = ""
    await house.keeper.publish()
    assert not frozen(house)


async def test_the_time_to_fall_asleep_has_limits_and_a_default(house: House) -> None:
    async def put(after: int | None) -> int:
        await set_sleep(house.platform, house.app, house.ada, house.production, after)
        return await sleep_of(house.platform, house.production)

    assert [await put(after) for after in (1, 7 * 24 * 3600, 0, None)] == [1, 7 * 24 * 3600, 0, 0]
    for after in (-1, 7 * 24 * 3600 + 1):
        with pytest.raises(Invalid, match=f"{after} s is no time to fall asleep after"):
            await put(after)


async def test_who_shall_never_sleep_is_woken(house: House) -> None:
    await house.deploy()
    await house.keeper.fall_asleep()
    await set_sleep(house.platform, house.app, house.ada, house.production, 0)
    assert not house.keeper.asleep
    assert not frozen(house)


async def test_a_keeper_that_is_let_go_during_a_wake_watches_nothing_any_more(house: House) -> None:
    await house.deploy()
    keeper = house.keeper
    await keeper.fall_asleep()
    await keeper.stop_frozen()
    keeper.release = replace(keeper.release, image=image_of(web="sleep 99"))  # never healthy
    before = asyncio.all_tasks()
    waking = asyncio.create_task(keeper.wake())
    await until(lambda: house.running == ["web-v1"])
    await keeper.let_go()
    await waking
    await house.settled()
    assert house.running == []
    assert {task for task in asyncio.all_tasks() if not task.done()} <= before


async def _with_preview(house: House) -> tuple[Clock, Sleeper]:
    await _preview(house, image_of())
    clock = Clock()
    return clock, Sleeper(house.platform, clock=clock)


async def _preview(house: House, image: Image) -> Keeper:
    """A Preview with `image`, beside production."""
    await house.deploy()
    platform = house.platform
    host = platform.names.preview_host("shop", "topic")
    topic = await platform.db.call(environments.create, house.app, "topic", "topic", host, platform.now())
    config = platform.secrets.encrypt_mapping({})
    release = await platform.db.call(
        releases.create, topic.id, image, config, COMMIT, "a push", "ada", platform.now(), {}
    )
    await rollout(platform, topic, release, house.said)
    return platform.keepers[topic.id]


def _record(host: str, environment: str) -> RequestRecord:
    return RequestRecord(0, host, "shop", environment, "v1", "GET", "/", 200, 1, 0.1, "", "", "1")
