from datetime import timedelta

from hostd.model.instance import InstanceState
from hostd.model.route import ToError, ToInstances
from hostd.store import formation
from tests.control.house import House, image_of
from tests.eventually import until

WEB = ("web", 1)


async def test_what_crashed_is_out_of_the_route_and_started_again_later(house: House) -> None:
    await house.deploy()
    first = house.keeper.places[WEB].instance
    house.end()
    await until(lambda: house.route.target == ToError("H10"))
    place = house.keeper.places[WEB]
    assert (place.state, place.instance) == (InstanceState.CRASHED, None)
    await until(lambda: isinstance(house.route.target, ToInstances))
    place = house.keeper.places[WEB]
    assert (place.state, place.restarts) == (InstanceState.RUNNING, 1)
    assert place.instance and first
    assert place.instance.id != first.id
    assert house.running == ["web-v1"]
    assert [line.text for line in house.logged] == ["web.1 exited with status 143 (SIGTERM)"]


async def test_of_several_only_the_crashed_one_leaves_the_route(house: House) -> None:
    await house.platform.db.call(formation.set, house.production.id, "web", 2)
    await house.deploy()
    gone, stays = house.keeper.instances
    await house.engine.stop(gone, 0)
    await until(lambda: house.route.target == ToInstances((stays.endpoint,)))


async def test_what_cannot_be_started_is_tried_again_later_and_later(house: House) -> None:
    await house.deploy(image_of(web="serve 200", worker="sleep 99"))
    house.engine.refuse = {"worker": "no room left"}
    house.end("worker")
    worker = ("worker", 1)
    await until(lambda: house.keeper.places[worker].restarts == 2)
    assert [line.text for line in house.logged] == [
        "worker.1 exited with status 143 (SIGTERM)",
        "worker.1 could not be started: no room left",
    ]
    assert (house.logged[0].environment, house.logged[0].source) == ("shop-production", "hostd")
    assert house.keeper.places[worker].state is InstanceState.CRASHED
    assert house.running == ["web-v1"]


async def test_crashes_are_forgotten_after_a_calm_minute(house: House) -> None:
    await house.deploy()
    house.end()
    await until(lambda: isinstance(house.route.target, ToError))
    await until(lambda: isinstance(house.route.target, ToInstances))
    house.clock[0] += timedelta(minutes=2)
    house.end()
    await until(lambda: isinstance(house.route.target, ToError))
    assert house.keeper.places[WEB].restarts <= 1
    await until(lambda: house.keeper.places[WEB].restarts == 1)


async def test_what_was_let_go_goes_on_and_is_watched_no_more(house: House) -> None:
    await house.deploy()
    keeper, before = house.keeper, house.route
    (instance,) = await keeper.let_go()
    assert house.running == ["web-v1"]
    await house.engine.stop(instance, 0)
    await keeper.publish()
    assert (keeper.places, keeper.instances, house.logged, house.route) == ({}, [], [], before)


async def test_one_slot_can_be_let_go_while_the_others_are_watched(house: House) -> None:
    await house.deploy(image_of(web="serve 200", worker="sleep 99"))
    (worker,) = await house.keeper.let_go([("worker", 1), ("worker", 7)])
    assert worker.spec.process == "worker"
    assert list(house.keeper.places) == [WEB]
    house.end()
    await until(lambda: house.route.target == ToError("H10"))


async def test_an_instance_missing_at_first_is_started_and_published(house: House) -> None:
    await house.deploy()
    keeper = house.keeper
    for instance in await keeper.let_go([WEB]):
        await house.engine.stop(instance, 0)
    keeper.keep({WEB: None})
    assert keeper.places[WEB].state is InstanceState.STARTING
    await until(lambda: keeper.places[WEB].state is InstanceState.RUNNING)
    await until(lambda: house.route.target == ToInstances((keeper.instances[0].endpoint,)))
