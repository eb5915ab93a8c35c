from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hostd.control import reconcile
from hostd.control.reconcile import Desired, difference, recover
from hostd.model.app import Environment
from hostd.model.build import BuildState
from hostd.model.instance import Endpoint, Instance, InstanceState
from hostd.model.release import Release, ReleaseState
from hostd.model.route import Route, ToDirectory, ToError, ToInstances
from hostd.store import builds
from tests.control.house import COMMIT, HOST, House, image_of
from tests.eventually import until
from tests.fakes import FakeEngine, instance_spec
from tests.fakes_control import static_image

SHOP = Environment(7, 1, "shop", "production", "main", HOST)
NOW = datetime(2026, 11, 25, tzinfo=UTC)
WEB, WORKER = ("web", 1), ("worker", 1)


def live(number: int = 1) -> Release:
    return Release(number, 7, number, ReleaseState.LIVE, image_of(), {}, COMMIT, "a push", "ada", NOW)


def instance(process: str = "web", number: int = 1, *, release: int = 1, started_at: float = 1.0) -> Instance:
    name = f"shop-production-{process}-v{release}-{started_at}-{number}"
    spec = instance_spec(id=name, environment="shop-production", release=release, process=process)
    return Instance(spec, Endpoint("127.0.0.1", 80), started_at)


def test_what_runs_is_adopted_and_what_is_missing_is_to_be_started() -> None:
    web = instance()
    actions = difference([Desired(SHOP, live(), (WEB, WORKER))], [web])
    assert actions.adopt == {7: {WEB: web, WORKER: None}}
    assert actions.stop == ()


def test_what_nobody_wants_is_stopped() -> None:
    old, surplus, stranger = instance(release=1), instance(number=2, release=2), instance(release=2)
    stranger = replace(stranger, spec=replace(stranger.spec, id="x-1", environment="gone-production"))
    actions = difference([Desired(SHOP, live(2), (WEB,))], [old, surplus, stranger])
    assert actions.adopt == {7: {WEB: None}}
    assert actions.stop == (old, surplus, stranger)


def test_of_two_in_one_slot_the_one_started_last_stays() -> None:
    early, late = instance(started_at=1.0), instance(started_at=2.0)
    for actual in ([early, late], [late, early]):
        actions = difference([Desired(SHOP, live(), (WEB,))], actual)
        assert (actions.adopt, actions.stop) == ({7: {WEB: late}}, (early,))


def test_an_environment_without_a_live_release_adopts_nothing() -> None:
    actions = difference([Desired(SHOP, None, ())], [instance()])
    assert (actions.adopt, len(actions.stop)) == ({}, 1)


async def restart(house: House) -> None:
    """Hostd ends and begins again; Instances and the router's table outlive it."""
    for keeper in house.platform.keepers.values():
        await keeper.let_go()
    house.platform = replace(house.platform, keepers={}, engine=FakeEngine(house.engine.machine))
    await recover(house.platform)


async def test_after_a_restart_what_runs_is_adopted_and_watched(house: House) -> None:
    await house.deploy()
    (before,), route = house.keeper.instances, house.route
    await restart(house)
    assert (list(house.keeper.instances), house.route) == ([before], route)
    assert len(house.engine.machine.lives) == 1
    house.end()
    await until(lambda: house.route.target == ToError("H10"))


async def test_after_a_restart_what_is_missing_is_started(house: House) -> None:
    await house.deploy()
    (before,) = await house.keeper.let_go()
    await house.engine.stop(before, 0)
    await restart(house)
    await until(lambda: isinstance(house.route.target, ToInstances))
    assert house.running == ["web-v1"]


async def test_after_a_restart_what_is_frozen_is_adopted_as_asleep_and_wakes(house: House) -> None:
    await house.deploy()
    await house.keeper.fall_asleep()
    await restart(house)
    assert house.keeper.places[WEB].state is InstanceState.FROZEN
    assert isinstance(house.route.target, ToInstances)
    assert house.route.target.asleep
    await house.keeper.wake()
    assert not house.engine.frozen(house.keeper.instances[0])
    await house.settled()
    assert house.route.target == ToInstances((house.keeper.instances[0].endpoint,))


async def test_after_a_restart_what_was_stopped_in_its_sleep_stays_so_and_wakes(house: House) -> None:
    await house.deploy(image_of(web="serve 200", worker="sleep 99"))
    await house.keeper.fall_asleep()
    await house.keeper.stop_frozen()
    await restart(house)
    states = {slot: place.state for slot, place in house.keeper.places.items()}
    assert states == {WEB: InstanceState.STOPPED, WORKER: InstanceState.RUNNING}
    assert (house.running, house.keeper.asleep) == (["worker-v1"], True)
    assert house.route.target == ToInstances((), asleep=True)
    await house.keeper.wake()
    assert house.running == ["web-v1", "worker-v1"]


async def test_after_a_restart_in_the_middle_of_a_wake_what_runs_is_awake(house: House) -> None:
    await house.deploy()
    await house.keeper.fall_asleep()
    await house.engine.thaw(house.keeper.instances[0])  # and then hostd was killed
    await restart(house)
    assert not house.keeper.asleep
    assert house.route.target == ToInstances((house.keeper.instances[0].endpoint,))


async def test_a_rollout_that_was_cut_off_failed_and_what_it_started_is_stopped(house: House) -> None:
    await house.deploy()
    cut_off = await house.release()
    spec = instance_spec(
        id="shop-production-web-v2-0-1", environment="shop-production", release=cut_off.number
    )
    await house.engine.start(spec)
    await restart(house)
    await house.settled()
    assert house.running == ["web-v1"]
    assert await house.states() == [ReleaseState.LIVE, ReleaseState.FAILED]
    assert (await house.stored())[0].failure == "hostd was stopped during the rollout"


async def test_a_build_that_was_cut_off_is_interrupted(house: House) -> None:
    db = house.platform.db
    number = await db.call(builds.start, house.production.id, COMMIT, "ada", house.platform.now())
    await restart(house)
    build = await db.read(builds.by_id, number)
    assert (build.state, build.reason) == (BuildState.INTERRUPTED, "hostd was stopped meanwhile")


async def test_after_a_restart_hosts_of_nobody_are_withdrawn_and_all_others_are_there(house: House) -> None:
    await house.router.publish([Route("gone.localhost", ToError("H10"), "gone")])
    del house.router.routes[HOST]
    await restart(house)
    assert {host: route.target for host, route in house.router.routes.items()} == {HOST: ToError("H81")}


async def test_a_static_release_whose_files_are_gone_keeps_nobody_from_starting(house: House) -> None:
    site = house.platform.data / "made"
    await house.deploy(static_image(site))
    assert isinstance(house.route.target, ToDirectory)
    site.rename(site.with_name("lost"))
    await restart(house)
    assert isinstance(house.route.target, ToError)


async def test_a_route_that_is_not_as_it_should_be_is_published_again_unless_a_rollout_is_under_way(
    house: House,
) -> None:
    await house.deploy()
    right, wrong = house.route, replace(house.route, target=ToError("H10"))
    await house.router.publish([wrong])
    async with house.platform.lock(house.production):
        await reconcile._repair_routes(house.platform)
    assert house.route == wrong
    await reconcile._repair_routes(house.platform)
    assert house.route == right


async def test_a_stray_is_stopped_once_it_is_old_and_no_rollout_is_under_way(house: House) -> None:
    await house.deploy()
    stray = instance_spec(id="shop-production-web-v9-0-1", environment="shop-production", release=9)
    await house.engine.start(stray)
    both = ["web-v1", "web-v9"]
    await reconcile._stop_strays(house.platform)
    assert house.running == both
    house.clock[0] += timedelta(minutes=2)
    async with house.platform.lock(house.production):
        await reconcile._stop_strays(house.platform)
    assert house.running == both
    await reconcile._stop_strays(house.platform)
    assert house.running == ["web-v1"]
