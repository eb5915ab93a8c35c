import asyncio
from dataclasses import replace

import pytest

from hostd.control.traffic import measure, traffic_of
from hostd.errors import NotFound
from hostd.model.app import User
from tests.control.house import House
from tests.eventually import until
from tests.model.test_traffic import record


async def test_what_the_router_served_is_counted_and_what_was_nobodys_is_not(house: House) -> None:
    await house.deploy()
    now = house.clock[0].timestamp()
    reading = asyncio.create_task(measure(house.platform, house.router.requests()))
    for each in (record(now - 3), record(now - 2, status=502), record(now - 2, environment="")):
        house.router.served.put_nowait(each)
    await until(house.router.served.empty)
    house.router.under_way = 7
    seen = await traffic_of(house.platform, house.app, house.ada, house.production, 10)
    assert (seen.total.requests, seen.total.errors, seen.under_way) == (2, 1, 7)
    assert list(seen.releases) == ["v1"]
    assert [each.requests for each in seen.history] == [0] * 7 + [1, 1, 0]
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_before_the_first_push_there_is_no_traffic(house: House) -> None:
    house.router.under_way = 7
    seen = await traffic_of(house.platform, house.app, house.ada, house.production, 1)
    assert (seen.total.requests, seen.under_way, seen.releases) == (0, 0, {})


async def test_the_traffic_of_somebody_elses_app_cannot_be_seen(house: House) -> None:
    bob = User(99, "bob", False)
    with pytest.raises(NotFound):
        await traffic_of(house.platform, replace(house.app), bob, house.production, 60)
