"""Instances that run and are not well: out of the Route, replaced one at a time, later and later."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from hostd.control.liveness import CALM_CHECKS, Liveness
from hostd.control.scale import scale
from hostd.model.health import HealthCheck
from hostd.model.instance import Instance, InstanceState
from hostd.model.route import ToInstances
from hostd.store import formation
from tests.control.house import House, image_of
from tests.eventually import until

CHECK = HealthCheck(liveness="/alive", interval_seconds=10, failures=2)
RUNNING, UNHEALTHY = InstanceState.RUNNING, InstanceState.UNHEALTHY


@dataclass
class Ward:
    """A House with so many web Instances, and Liveness that looks when told to."""

    house: House
    check: HealthCheck = CHECK
    seconds: list[float] = field(default_factory=lambda: [1000.0])

    async def make(self, web: int = 1) -> "Ward":
        await self.house.platform.db.call(formation.set, self.house.production.id, "web", web)
        await self.house.deploy(image_of(self.check.labels, web="serve 200", worker="sleep 99"))
        self.liveness = Liveness(self.house.platform, lambda: self.seconds[0])
        await self.look()
        return self

    async def look(self, times: int = 1) -> None:
        """So many looks, as far apart as they have to be."""
        for _ in range(times):
            async with asyncio.TaskGroup() as tasks:
                self.liveness.look(tasks)
            self.seconds[0] += self.check.interval_seconds

    @property
    def web(self) -> list[Instance]:
        return [each for each in self.house.keeper.instances if each.spec.process == "web"]

    @property
    def states(self) -> list[InstanceState]:
        return [place.state for slot, place in sorted(self.house.keeper.places.items()) if slot[0] == "web"]

    @property
    def routed(self) -> list[str]:
        target = self.house.route.target
        assert isinstance(target, ToInstances)
        return [str(endpoint) for endpoint in target.endpoints]

    @property
    def said(self) -> list[str]:
        return [line.text for line in self.house.logged]


async def test_one_of_several_leaves_the_route_at_once_and_goes_when_its_successor_answers(
    house: House,
) -> None:
    ward = await Ward(house).make(web=2)
    sick, well = ward.web
    house.engine.sick.add(sick.id)
    await ward.look()
    assert ward.states == [RUNNING, RUNNING]
    await ward.look()
    assert (ward.states, ward.routed) == ([UNHEALTHY, RUNNING], [str(well.endpoint)])
    assert sick.id in [each.id for each in house.keeper.instances]
    await until(lambda: ward.states == [RUNNING, RUNNING])
    await house.settled()
    assert well in ward.web
    assert sick not in ward.web
    assert house.running == ["web-v1", "web-v1", "worker-v1"]
    assert sorted(ward.routed) == sorted(str(each.endpoint) for each in ward.web)
    assert ward.said == [
        "web.1 is unhealthy: it answers 500 on /alive, 2 times in a row",
        "web.1 is replaced",
    ]


async def test_the_only_one_stays_in_the_route_until_its_successor_answers(house: House) -> None:
    ward = await Ward(house).make()
    (sick,) = ward.web
    house.engine.sick.add(sick.id)
    await ward.look(2)
    assert (ward.states, ward.routed) == ([UNHEALTHY], [str(sick.endpoint)])
    await until(lambda: sick not in ward.web)
    assert ward.routed == [str(ward.web[0].endpoint)]
    await house.settled()
    house.end()
    await until(lambda: ward.states == [InstanceState.CRASHED])  # it is watched as any other


async def test_one_bad_answer_in_between_is_forgotten(house: House) -> None:
    ward = await Ward(house).make()
    for _ in range(3):
        house.engine.sick.add(ward.web[0].id)
        await ward.look()
        house.engine.sick.clear()
        await ward.look()
    assert (ward.states, ward.said) == ([RUNNING], [])


async def test_who_recovers_before_its_turn_comes_stays(house: House) -> None:
    ward = await Ward(house).make()
    (sick,) = ward.web
    house.engine.sick.add(sick.id)
    await ward.look(2)
    house.engine.sick.clear()
    await ward.look()
    assert (ward.states, ward.routed) == ([RUNNING], [str(sick.endpoint)])
    house.end()
    await until(lambda: ward.states == [InstanceState.CRASHED])
    assert len(house.engine.machine.lives) == 2


async def test_one_at_a_time_is_replaced_later_and_later(house: House) -> None:
    ward = await Ward(house).make(web=3)
    house.engine.refuse = {"web": "no room left"}
    sick = ward.web
    house.engine.sick.update(each.id for each in sick)
    await ward.look(2)
    assert ward.states == [UNHEALTHY] * 3
    assert len(ward.routed) == 3  # none is well: all are asked
    await until(lambda: len(ward.said) == 4)
    await ward.look(1)
    await until(lambda: sum(place.restarts for place in house.keeper.places.values()) == 2)
    assert ward.said[3].endswith("could not be replaced: no room left")
    assert ward.web == sick


async def test_failures_are_forgotten_after_a_long_calm(house: House) -> None:
    ward = await Ward(house).make()
    place = house.keeper.places["web", 1]
    house.keeper.put(("web", 1), RUNNING, place.instance, lambda _: 9)
    house.clock[0] += timedelta(seconds=CALM_CHECKS * 2 * 10 + 1)
    house.engine.sick.add(ward.web[0].id)
    await ward.look(2)
    await until(lambda: house.keeper.places["web", 1].restarts == 1)


async def test_what_sleeps_is_not_asked(house: House) -> None:
    ward = await Ward(house).make()
    assert await house.keeper.fall_asleep()
    house.engine.sick.add(ward.web[0].id)
    await ward.look(3)
    assert (ward.states, ward.said, house.keeper.asleep) == ([InstanceState.FROZEN], [], True)


async def test_without_a_path_it_has_to_listen_still(house: House) -> None:
    ward = await Ward(house, HealthCheck(failures=2)).make()
    house.engine.sick.add(ward.web[0].id)
    await ward.look(3)
    assert ward.states == [RUNNING]
    port = ward.web[0].endpoint.port
    house.engine.deaf.add(ward.web[0].id)
    await ward.look(2)
    assert ward.said == [f"web.1 is unhealthy: it listens no more on port {port}, 2 times in a row"]


async def test_one_that_takes_no_connections_is_unhealthy(house: House) -> None:
    ward = await Ward(house).make()
    server = house.engine.machine.lives[ward.web[0].id].server
    assert server
    server.close()
    await ward.look(2)
    assert ward.said == ["web.1 is unhealthy: it takes no connections, 2 times in a row"]


async def test_one_that_ends_before_its_turn_is_started_as_what_crashed(house: House) -> None:
    ward = await Ward(house).make()
    house.engine.sick.add(ward.web[0].id)
    await ward.look(2)
    house.end()
    await until(lambda: ward.states == [InstanceState.CRASHED])
    await until(lambda: ward.states == [RUNNING])


@pytest.mark.parametrize("change", ["deploy", "scale"])
async def test_what_changes_meanwhile_leaves_nothing(house: House, change: str) -> None:
    ward = await Ward(house).make()
    house.engine.sick.add(ward.web[0].id)
    await ward.look(2)
    if change == "deploy":
        await house.deploy()
    else:
        await scale(house.platform, house.app, house.production, house.ada, {"web": 0}, house.said)
    await ward.look(2)
    left = ["web-v1", "web-v2"] if change == "deploy" else ["worker-v1"]  # the former one is kept for a while
    await until(lambda: house.running == left)
    assert house.route.release == ("v2" if change == "deploy" else "v1")
