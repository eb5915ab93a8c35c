import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from hostd.control.rollout import rollout
from hostd.errors import Conflict, RolloutFailed, Unavailable
from hostd.model.image import Image, StaticSite
from hostd.model.instance import Endpoint
from hostd.model.release import ReleaseState
from hostd.model.route import Route, ToDirectory, ToError, ToInstances
from hostd.store import formation
from tests.control.house import HOST, House, house_in, image_of
from tests.eventually import until
from tests.fakes import instance_spec
from tests.fakes_control import FakeRouter, static_image

LIVE, FAILED, RETIRED = ReleaseState.LIVE, ReleaseState.FAILED, ReleaseState.RETIRED


class WatchingRouter(FakeRouter):
    """Notes what was so when it was called: (call, what runs, what the store says)."""

    def __init__(self) -> None:
        super().__init__()
        self.house: House | None = None
        self.seen: list[tuple[str, list[str], list[ReleaseState]]] = []

    async def publish(self, routes: Sequence[Route]) -> None:
        await super().publish(routes)
        await self._note("publish")

    async def in_flight(self, endpoints: Sequence[Endpoint]) -> int:
        await self._note("in_flight")
        return await super().in_flight(endpoints)

    async def _note(self, call: str) -> None:
        if self.house:
            self.seen.append((call, self.house.running, await self.house.states()))


async def test_a_rollout_starts_publishes_goes_live_and_drains_in_this_order(tmp_path: Path) -> None:
    router = WatchingRouter()
    async with house_in(tmp_path, router) as house:
        await house.deploy()
        router.house = house
        await house.deploy()
        assert await house.states() == [RETIRED, LIVE]
        assert house.running == ["web-v1", "web-v2"]
        await house.settled()
        assert house.running == ["web-v2"]
        both = ["web-v1", "web-v2"]
        assert router.seen[:2] == [
            ("publish", both, [LIVE, ReleaseState.STARTING]),
            ("in_flight", both, [RETIRED, LIVE]),
        ]
        assert house.route.release == "v2"


async def test_what_is_under_way_to_the_old_release_is_waited_for(tmp_path: Path) -> None:
    router = WatchingRouter()
    async with house_in(tmp_path, router) as house:
        await house.deploy()
        router.house, router.under_way = house, 1
        await house.deploy()
        await until(lambda: [call for call, _, _ in router.seen].count("in_flight") >= 2)
        assert house.running == ["web-v1", "web-v2"]
        router.under_way = 0
        await house.settled()
        assert house.running == ["web-v2"]


async def _fails_and_the_old_one_serves(house: House, image: Image, reason: str) -> None:
    """A first Release is live; one of `image` fails because of `reason`, and leaves nothing."""
    await house.deploy()
    before = house.route
    with pytest.raises((RolloutFailed, Unavailable), match=reason):
        await house.deploy(image)
    assert house.route == before
    assert house.running == ["web-v1"]
    assert await house.states() == [LIVE, FAILED]
    assert reason in (await house.stored())[0].failure
    assert house.keeper.release.name == "v1"
    house.end()
    await until(lambda: isinstance(house.route.target, ToError))  # it is still watched


async def test_a_release_that_cannot_start_leaves_the_old_one_serving(house: House) -> None:
    house.engine.refuse = {"worker": "no room left"}
    await _fails_and_the_old_one_serves(house, image_of(web="serve 200", worker="sleep 99"), "no room left")


async def test_a_release_that_is_never_healthy_leaves_the_old_one_serving(house: House) -> None:
    image = image_of({"hostd.health.timeout-seconds": "0.2"}, web="echo hello; serve 500")
    await _fails_and_the_old_one_serves(house, image, "web answers 500 on / after 0.2 s")
    assert house.said.lines[-2:] == ["-----> Last lines of web", "       hello"]


async def test_a_release_that_ends_at_once_leaves_the_old_one_serving(house: House) -> None:
    await _fails_and_the_old_one_serves(house, image_of(web="exit 3"), "web exited with status 3")
    assert house.said.lines[-1] == "-----> web printed nothing"


async def test_a_worker_that_ends_at_once_leaves_the_old_one_serving(house: House) -> None:
    image = image_of(web="serve 200", worker="exit 4")
    await _fails_and_the_old_one_serves(house, image, "worker exited with status 4 at once")


async def test_a_release_whose_release_command_fails_leaves_the_old_one_serving(house: House) -> None:
    image = image_of(web="serve 200", release="echo migrating; exit 5")
    await _fails_and_the_old_one_serves(house, image, "the release command failed: it exited with status 5")
    assert "       migrating" in house.said.lines
    assert [life.instance.spec.release for life in house.engine.machine.lives.values()] == [1]


async def test_a_release_whose_route_cannot_be_published_leaves_the_old_one_serving(house: House) -> None:
    await house.deploy()
    before = house.route
    house.router.refuse = "the router is down"
    with pytest.raises(Unavailable, match="the router is down"):
        await house.deploy()
    house.router.refuse = ""
    assert (house.route, house.running) == (before, ["web-v1"])
    assert await house.states() == [LIVE, FAILED]
    assert (await house.stored())[0].failure == "the router is down"
    house.end()
    await until(lambda: isinstance(house.route.target, ToError))


async def test_a_release_that_cannot_be_stored_leaves_the_old_one_serving(house: House) -> None:
    def refuse(_: Connection) -> None:
        raise Unavailable("the disk is full")

    await house.deploy()
    before = house.route
    with pytest.raises(Unavailable, match="the disk is full"):
        await rollout(house.platform, house.production, await house.release(), house.said, refuse)
    assert (house.route, house.running) == (before, ["web-v1"])
    assert await house.states() == [LIVE, FAILED]
    assert (await house.stored())[0].failure == "the disk is full"
    assert house.keeper.release.name == "v1"


async def test_a_first_release_that_cannot_be_stored_leaves_nothing(house: House) -> None:
    def refuse(_: Connection) -> None:
        raise Unavailable("the disk is full")

    with pytest.raises(Unavailable, match="the disk is full"):
        await rollout(house.platform, house.production, await house.release(), house.said, refuse)
    assert (house.route.target, house.running, house.platform.keepers) == (ToError("H81"), [], {})
    assert await house.states() == [FAILED]


async def test_a_release_that_was_moved_meanwhile_does_not_go_live(house: House) -> None:
    release = await house.release()
    await rollout(house.platform, house.production, release, house.said)
    with pytest.raises(Conflict, match="v1 cannot become live"):
        await rollout(house.platform, house.production, release, house.said)
    assert await house.states() == [LIVE]
    assert len(house.running) == 1


async def test_a_rollout_that_is_cancelled_fails_and_leaves_nothing(house: House) -> None:
    task = asyncio.create_task(house.deploy(image_of(web="sleep 99")))
    await until(lambda: house.running == ["web-v1"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert house.running == []
    assert [release.failure for release in await house.stored()] == ["the rollout was cut off"]


async def test_a_rollout_that_is_cancelled_while_it_goes_live_is_live(house: House) -> None:
    storing, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def store(_: Connection) -> None:
        loop.call_soon_threadsafe(storing.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(5)

    await house.deploy()
    release = await house.release()
    task = asyncio.create_task(rollout(house.platform, house.production, release, house.said, store))
    await storing.wait()
    task.cancel()
    go_on.set()
    await asyncio.gather(task, return_exceptions=True)
    await house.settled()
    assert await house.states() == [RETIRED, LIVE]
    assert (house.running, house.route.release, house.keeper.release.name) == (["web-v2"], "v2", "v2")


async def test_the_old_release_does_not_take_the_route_back(house: House) -> None:
    await house.deploy()
    former, loop = house.keeper, asyncio.get_running_loop()

    def crash_of_the_former(_: Connection) -> None:
        asyncio.run_coroutine_threadsafe(former.publish(), loop).result(5)

    await rollout(house.platform, house.production, await house.release(), house.said, crash_of_the_former)
    assert house.route.release == "v2"
    await former.publish()
    assert house.route.release == "v2"


async def test_the_formation_says_how_many_start(house: House) -> None:
    await house.platform.db.call(formation.set, house.production.id, "web", 3)
    await house.platform.db.call(formation.set, house.production.id, "worker", 0)
    await house.deploy(image_of(worker="sleep 99", web="serve 200"))
    assert house.running == ["web-v1"] * 3
    assert isinstance(house.route.target, ToInstances)
    assert len(house.route.target.endpoints) == 3
    assert house.said.lines[-3:-1] == ["       worker x 0: sleep 99", "       web x 3: serve 200"]


async def test_a_worker_that_ends_with_0_is_no_failure(house: House) -> None:
    await house.deploy(image_of(web="serve 200", worker="exit 0"))
    assert await house.states() == [LIVE]


async def test_the_release_command_runs_once_with_the_config_and_is_no_process(house: House) -> None:
    await house.deploy(image_of(web="serve 200", release="echo done"))
    assert [task.env["HOSTD_RELEASE"] for task in house.engine.tasks] == ["v1"]
    assert house.running == ["web-v1"]


async def test_a_static_release_runs_nothing(house: House, tmp_path: Path) -> None:
    await house.deploy(static_image(tmp_path / "made"))
    assert house.route.target == ToDirectory(str(tmp_path / "made"))
    assert house.running == []


async def test_a_static_release_without_its_directory_fails(house: House, tmp_path: Path) -> None:
    for root in ("dist", ".."):
        image = replace(static_image(tmp_path / "made"), static=StaticSite(root))
        with pytest.raises(RolloutFailed, match="is not there after the build"):
            await house.deploy(image)
    assert house.route.target == ToError("H81")
    assert await house.states() == [FAILED, FAILED]


async def test_an_app_without_a_web_process_says_so(house: House) -> None:
    await house.deploy(image_of(worker="sleep 99"))
    assert " !     no web process: nothing answers at the app's URL" in house.said.lines
    assert house.router.routes[HOST].target == ToError("H14")


async def test_an_app_may_lower_its_memory_but_not_raise_it(house: House) -> None:
    for asked, given in (("100", 100), ("100000", instance_spec().limits.memory_mb)):
        await house.deploy(image_of({"hostd.limits.memory-mb": asked}))
        assert house.keeper.instances[0].spec.limits.memory_mb == given
