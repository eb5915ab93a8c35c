import asyncio
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from hostd.control import formers, reconcile
from hostd.control.apps import destroy_app
from hostd.control.releases import rollback
from hostd.control.scale import scale
from hostd.control.sleep import Sleeper
from hostd.control.tidying import tidy
from hostd.errors import RolloutFailed
from hostd.model.instance import InstanceState
from hostd.model.release import KEPT, Release
from hostd.model.route import Route, Target, ToDirectory, ToError, ToInstances
from hostd.store import releases
from tests.control.house import House, image_of
from tests.fakes_control import static_image

ASLEEP = ToInstances((), asleep=True)


def host(number: int) -> str:
    return f"v{number}--shop.localhost"


def route(house: House, number: int) -> Route:
    return house.router.routes[host(number)]


def target(house: House, number: int) -> Target:
    return route(house, number).target


async def answer(house: House, name: str) -> str:
    """What is answered at this host, once it is awake."""
    goes_to = house.router.routes[name].target
    assert isinstance(goes_to, ToInstances)
    assert goes_to.endpoints
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://{goes_to.endpoints[0]}/")).text.strip()


async def two(house: House, **lines: str) -> None:
    """v1, and v2 live; v1 is kept frozen."""
    await house.deploy(image_of(None, **lines) if lines else None)
    await house.deploy(image_of(None, **(lines | {"web": "serve 201"})))
    await house.settled()


async def two_without_memory(house: House) -> None:
    """v1, which is stopped, and v2 live."""
    memory_mb, house.engine.memory_mb = house.engine.memory_mb, 0
    await two(house)
    house.engine.memory_mb = memory_mb


async def back(house: House, number: int | None = None) -> Release:
    return await rollback(house.platform, house.app, house.production, house.ada, number, house.said)


class Clock:
    """Seconds, for a Sleeper."""

    def __init__(self, house: House) -> None:
        self.now = 0.0
        self.sleeper = Sleeper(house.platform, clock=lambda: self.now)

    async def later(self, seconds: float) -> None:
        """What the Sleeper does when so much time has gone by."""
        await self.sleeper.look()
        self.now += seconds
        await self.sleeper.look()


async def test_every_release_has_an_address_that_is_noindex(house: House) -> None:
    await house.deploy()
    assert target(house, 1) == house.route.target
    assert route(house, 1).noindex
    assert not house.route.noindex
    await house.deploy()
    assert target(house, 2) == house.route.target != target(house, 1)
    assert (route(house, 1).release, route(house, 2).release) == ("v1", "v2")


async def test_the_one_before_is_frozen_once_nothing_is_under_way_to_it_and_its_workers_end(
    house: House,
) -> None:
    await two(house, web="serve 200", worker="sleep 99")
    assert (house.running, house.kept_frozen) == (["web-v2", "worker-v2"], ["web-v1"])
    assert target(house, 1) == ToInstances(
        tuple(i.endpoint for i in house.platform.formers[house.production.id, 1].instances), asleep=True
    )
    await house.deploy()
    await house.settled()
    assert house.kept_frozen == ["web-v2"]  # one at most
    assert target(house, 1) == ASLEEP


async def test_without_memory_to_spare_the_one_before_is_stopped(house: House) -> None:
    house.engine.memory_mb = 0
    await two(house)
    assert (house.running, house.kept_frozen) == (["web-v2"], [])
    assert target(house, 1) == ASLEEP


async def test_a_rollback_thaws_what_it_goes_back_to(house: House) -> None:
    await two(house, web="serve 200", worker="sleep 99")
    frozen = house.platform.formers[house.production.id, 1].instances
    started = len(house.engine.machine.lives)
    release = await back(house)
    assert (release.number, release.repeats, release.origin) == (3, 1, 1)
    assert [i for i in house.keeper.instances if i.spec.process == "web"] == frozen
    assert len(house.engine.machine.lives) == started + 1  # the worker
    assert house.route.target == target(house, 1) == target(house, 3)
    assert await answer(house, "shop.localhost") == "v1"
    await house.settled()
    assert house.kept_frozen == ["web-v2"]


async def test_and_back_again_and_what_repeats_keeps_both_addresses(house: House) -> None:
    await two(house)
    await back(house)
    await house.settled()
    release = await back(house)
    assert (release.name, release.repeats) == ("v4", 2)
    await house.settled()
    assert (house.running, house.kept_frozen) == (["web-v2"], ["web-v1"])
    assert route(house, 1).release == route(house, 3).release == "v3"
    assert target(house, 1) == target(house, 3)
    clock = Clock(house)
    assert await clock.sleeper.wake(host(3)) == "ok"
    await house.settled()
    assert await answer(house, host(1)) == "v1"
    await back(house, 2)  # what runs, once more: started anew
    await house.settled()
    assert house.running == ["web-v1", "web-v2"]
    assert target(house, 2) == target(house, 4) == target(house, 5) == house.route.target


async def test_what_does_not_answer_after_the_thaw_is_started_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formers, "THAW_LIMIT", 0.1)
    await two(house)
    old = house.platform.formers[house.production.id, 1].instances[0]
    server = house.engine.machine.lives[old.id].server
    assert server
    server.close()
    await back(house)
    assert house.keeper.instances[0] != old
    await house.settled()
    assert house.running == ["web-v1"]


async def test_a_rollback_meets_the_formation_of_now(house: House) -> None:

    await house.deploy()
    await scale(house.platform, house.app, house.production, house.ada, {"web": 2}, house.said)
    await house.deploy()
    await house.settled()
    assert house.kept_frozen == ["web-v1", "web-v1"]
    await scale(house.platform, house.app, house.production, house.ada, {"web": 1}, house.said)
    await back(house)
    await house.settled()
    assert (house.running, house.kept_frozen) == (["web-v1"], ["web-v2"])


async def test_a_visitor_wakes_a_former_release_and_it_sleeps_and_stops_again(house: House) -> None:
    await two_without_memory(house)
    clock = Clock(house)
    assert await asyncio.gather(*(clock.sleeper.wake(host(1)) for _ in range(20))) == ["ok"] * 20
    await house.settled()
    assert await answer(house, host(1)) == "v1"
    assert house.running == ["web-v1", "web-v2"]
    await clock.later(formers.IDLE)
    assert house.kept_frozen == ["web-v1"]
    assert await clock.sleeper.wake(host(1)) == "ok"
    await house.settled()
    assert await answer(house, host(1)) == "v1"
    await clock.later(formers.IDLE)
    await clock.later(formers.ROLLBACK_WINDOW)
    assert (house.running, house.kept_frozen) == (["web-v2"], [])
    assert target(house, 1) == ASLEEP
    assert await clock.sleeper.wake("shop.localhost") == "ok"


async def test_a_former_release_of_one_who_deploys_for_long_keeps_nobody_awake(house: House) -> None:
    await two_without_memory(house)
    clock = Clock(house)
    assert await clock.sleeper.wake(host(1)) == "ok"
    await house.settled()
    async with house.platform.lock(house.production), asyncio.timeout(2):
        await clock.later(formers.IDLE)
    assert house.kept_frozen == []


async def test_a_former_release_that_keeps_crashing_is_given_up(house: House) -> None:
    await two_without_memory(house)
    clock = Clock(house)
    assert await clock.sleeper.wake(host(1)) == "ok"
    house.engine.refuse = {"web": "no more"}
    former = house.platform.formers[house.production.id, 1]
    life = house.engine.machine.lives[former.instances[0].id]
    life.acting.cancel()
    await asyncio.sleep(0)
    await clock.later(formers.IDLE)
    assert [place.state for place in former.places.values()] == [InstanceState.STOPPED]
    assert target(house, 1) == ASLEEP


async def test_only_what_went_live_and_is_kept_has_an_address(house: House) -> None:
    await house.deploy()
    with pytest.raises(RolloutFailed):
        await house.deploy(image_of(web="exit 1"))
    clock = Clock(house)
    assert host(2) not in house.router.routes
    for unknown in (host(2), host(9), "v1--other.localhost", "v1--shop.example.org", "vx--shop.localhost"):
        assert await clock.sleeper.wake(unknown) == "H99"
    assert house.running == ["web-v1"]


async def test_addresses_go_with_the_image_and_pinned_ones_stay(house: House) -> None:
    first = await house.deploy()
    await house.platform.db.call(releases.set_pinned, first, True)
    for _ in range(KEPT + 2):
        await house.deploy()
    await house.settled()
    house.platform.formers[house.production.id, 2].expect_web()
    await tidy(house.platform, house.production)
    await house.settled()
    kept = [1, *range(4, KEPT + 4)]
    assert sorted(house.router.routes) == sorted(["shop.localhost", *map(host, kept)])
    assert (house.production.id, 2) not in house.platform.formers
    assert await Clock(house).sleeper.wake(host(2)) == "H99"


async def test_a_preview_has_none_and_keeps_nothing_frozen(house: House) -> None:
    await house.push("topic")
    await house.push("topic")
    await house.settled()
    assert house.engine.running == ["topic--shop-web-v2"]
    assert sorted(house.router.routes) == ["shop.localhost", "topic--shop.localhost"]


async def test_files_of_a_former_static_release_are_there_when_asked_for(
    house: House, tmp_path: Path
) -> None:
    await house.deploy(static_image(tmp_path / "one"))
    await house.deploy(static_image(tmp_path / "two"))
    await house.settled()
    assert target(house, 1) == ASLEEP
    clock = Clock(house)
    assert await clock.sleeper.wake(host(1)) == "ok"
    assert target(house, 1) == ToDirectory(str(tmp_path / "one"))
    await clock.later(formers.IDLE)
    assert target(house, 1) == ASLEEP
    assert house.platform.formers == {}


async def test_a_release_without_a_web_process_says_so(house: House) -> None:
    await house.deploy(image_of(worker="sleep 99"))
    await house.deploy()
    await house.settled()
    assert await Clock(house).sleeper.wake(host(1)) == "ok"
    assert target(house, 1) == ToError("H14")


async def test_a_restart_lets_former_releases_sleep_and_adopts_what_a_rollback_thawed(house: House) -> None:
    await two(house)
    await back(house)
    await house.settled()
    before = house.keeper.instances
    for keeper in (*house.platform.keepers.values(), *house.platform.formers.values()):
        await keeper.let_go()
    house.platform.keepers.clear()
    house.platform.formers.clear()
    house.router.routes["v9--shop.localhost"] = house.route
    await reconcile.recover(house.platform)
    await house.settled()
    assert house.keeper.instances == before
    assert house.engine.running == ["shop-production-web-v1"]
    assert target(house, 1) == target(house, 3) == house.route.target
    assert target(house, 2) == ASLEEP
    assert host(9) not in house.router.routes


async def test_what_is_kept_is_no_stray_and_goes_with_the_app(house: House) -> None:

    await two(house)
    house.clock[0] += timedelta(hours=1)
    await reconcile._stop_strays(house.platform)
    assert house.kept_frozen == ["web-v1"]
    await destroy_app(house.platform, house.app, house.ada, "shop")
    await house.settled()
    assert (house.engine.running, house.router.routes, house.platform.formers) == ([], {}, {})


async def test_a_visitor_need_not_wait_for_a_push(house: House) -> None:
    await two_without_memory(house)
    house.platform.formers.clear()  # as after a start of hostd
    async with house.platform.lock(house.production), asyncio.timeout(5):
        assert await Clock(house).sleeper.wake(host(1)) == "ok"


async def test_a_rollback_waits_for_the_visitor_who_wakes_the_same_release(house: House) -> None:
    await two_without_memory(house)
    house.platform.formers.clear()  # as after a start of hostd
    clock = Clock(house)
    async with formers._lock(house.platform, house.production):
        waking = asyncio.create_task(clock.sleeper.wake(host(1)))
        await asyncio.sleep(0.05)
        assert not waking.done()
    assert await waking == "ok"
    release = await back(house)
    assert house.keeper.instances[0].spec.release == release.origin == 1
    await house.settled()
    assert (house.running, house.kept_frozen) == (["web-v1"], ["web-v2"])
