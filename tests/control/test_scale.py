import pytest

from hostd.control.scale import QUANTITY_LIMIT, processes_of, scale
from hostd.errors import Conflict, Invalid, NotFound, Unavailable
from hostd.model.app import User
from hostd.model.instance import InstanceState
from hostd.model.route import ToInstances
from hostd.store import formation
from tests.control.house import House, image_of

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
