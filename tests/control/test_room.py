import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hostd.control.keeper import Keeper
from hostd.control.room import RESERVE_MB, STARTS_AT_ONCE, Room, Sleeping, make_room
from hostd.control.sleep import Sleeper
from hostd.model.app import Environment
from hostd.model.instance import Instance, InstanceSpec, InstanceState, Limits
from hostd.model.release import Release, ReleaseState
from tests.control.house import COMMIT, House, image_of
from tests.eventually import until
from tests.fakes import HELD_MB, FakeEngine

NOW = datetime(2026, 11, 26, tzinfo=UTC)
WEB = ("web", 1)


def sleeping(number: int, minutes: int, held_mb: int = 100) -> Sleeping:
    return Sleeping(number, NOW - timedelta(minutes=minutes), held_mb)


def test_nobody_is_stopped_while_there_is_room() -> None:
    assert make_room(100, 100, [sleeping(1, 5)]) == []


def test_who_sleeps_longest_goes_first_and_no_more_than_needed() -> None:
    some = [sleeping(1, 5), sleeping(2, 60), sleeping(3, 30)]
    assert [each.environment_id for each in make_room(250, 100, some) or ()] == [2, 3]


def test_nobody_is_stopped_in_vain() -> None:
    assert make_room(500, 100, [sleeping(1, 5), sleeping(2, 60)]) is None
    assert make_room(500, 100, []) is None


class CountingEngine(FakeEngine):
    """Notes how many Instances were starting at once, at most."""

    def __init__(self) -> None:
        super().__init__()
        self.keepers: Sequence[Keeper] = ()
        self.most = 0

    async def start(self, spec: InstanceSpec) -> Instance:
        instance = await super().start(spec)
        starting = [keeper for keeper in self.keepers if keeper.places[WEB].state is InstanceState.STARTING]
        self.most = max(self.most, 1 + len(starting))
        return instance


def stopped_apps(house: House, count: int, engine: FakeEngine, line: str = "serve 200") -> list[Keeper]:
    """So many Environments whose web was stopped in its sleep; each may take HELD_MB."""
    house.platform = replace(house.platform, engine=engine, limits=Limits(memory_mb=HELD_MB), room=Room())
    for number in range(1000, 1000 + count):
        name = f"app{number}"
        environment = Environment(number, number, name, "production", "main", f"{name}.localhost")
        release = Release(
            1, number, 1, ReleaseState.LIVE, image_of(web=line), {}, COMMIT, "a push", "ada", NOW
        )
        keeper = Keeper(house.platform, environment, release)
        keeper.keep({WEB: None}, asleep=True)
        house.platform.keepers[number] = keeper
    return [house.platform.keepers[number] for number in range(1000, 1000 + count)]


async def test_three_hundred_that_are_asked_at_once_start_a_few_at_a_time(house: House) -> None:
    engine = CountingEngine()
    engine.keepers = stopped_apps(house, 300, engine)
    sleeper = Sleeper(house.platform)
    answers = await asyncio.gather(*(sleeper.wake(each.environment.host) for each in engine.keepers))
    assert answers == ["ok"] * 300
    assert 1 <= engine.most <= STARTS_AT_ONCE


async def test_where_memory_is_short_the_longest_asleep_makes_room_and_the_others_wait(house: House) -> None:
    engine = FakeEngine()
    keepers = stopped_apps(house, 8, engine)
    engine.memory_mb = RESERVE_MB + 3 * HELD_MB
    wakes = [asyncio.create_task(keeper.wake()) for keeper in keepers]
    await until(lambda: len(engine.running) == 3)
    await asyncio.gather(*wakes[:3])
    await asyncio.sleep(0.3)
    assert (len(engine.running), [wake.done() for wake in wakes]) == (3, [True] * 3 + [False] * 5)
    for keeper in (keepers[1], keepers[0], keepers[2]):
        house.clock[0] += timedelta(seconds=1)
        assert await keeper.fall_asleep()
    await asyncio.wait_for(asyncio.gather(*wakes[3:6]), 10)
    assert engine.running == [f"app{number}-production-web-v1" for number in (1003, 1004, 1005)]
    for wake in wakes:
        wake.cancel()
    await asyncio.gather(*wakes, return_exceptions=True)


async def test_hostd_does_not_wait_for_wakes_that_wait_for_room_when_it_ends(house: House) -> None:
    engine = FakeEngine()
    first, second = stopped_apps(house, 2, engine)
    engine.memory_mb = RESERVE_MB + HELD_MB
    await first.wake()
    waking = asyncio.create_task(second.wake())
    await until(lambda: second.changing)
    async with asyncio.timeout(10):
        await second.thaw()
        await second.let_go()
        await waking
    assert len(engine.running) == 1


async def test_who_is_alone_may_try_with_less_than_it_may_take(house: House) -> None:
    engine = FakeEngine()
    first, second, third = stopped_apps(house, 3, engine)
    engine.memory_mb = RESERVE_MB + 2 * HELD_MB
    await first.wake()
    await first.fall_asleep()
    house.platform = replace(house.platform, limits=Limits(memory_mb=10 * HELD_MB))
    second, third = (Keeper(house.platform, each.environment, each.release) for each in (second, third))
    for keeper in (second, third):
        keeper.keep({WEB: None}, asleep=True)
        house.platform.keepers[keeper.environment.id] = keeper
    await asyncio.wait_for(second.wake(), 10)
    assert [name[:7] for name in engine.running] == ["app1000", "app1001"]  # something was left
    await asyncio.wait_for(third.wake(), 10)
    assert [name[:7] for name in engine.running] == ["app1001", "app1002"]  # nothing was, but for who slept


async def test_a_slow_start_gives_its_turn_back(house: House) -> None:
    room = Room(starts_at_once=1, share=0.01)
    async with room.taken(house.platform, 1), asyncio.timeout(10), room.taken(house.platform, 1):
        pass


async def test_a_start_that_failed_leaves_its_room(house: House) -> None:
    room = Room(starts_at_once=1)
    for _ in range(3):
        try:
            async with asyncio.timeout(10), room.taken(house.platform, 1000):
                raise ValueError
        except ValueError:
            pass
    house.engine.memory_mb = RESERVE_MB + 1000
    async with asyncio.timeout(10), room.taken(house.platform, 1000):
        pass
