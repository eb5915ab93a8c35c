"""Taking turns: locks that are forgotten, and what changes while a turn is waited for."""

import asyncio
import gc

from hostd.control.apps import destroy_app
from hostd.control.locks import Locks
from hostd.model.app import PRODUCTION
from hostd.store import environments
from tests.control.house import House, image_of


async def test_a_lock_is_one_for_all_while_somebody_needs_it_and_then_forgotten() -> None:
    locks = Locks[str]()
    order: list[int] = []

    async def work(number: int) -> None:
        async with locks["shop"]:
            await asyncio.sleep(0)
            order.append(number)

    await asyncio.gather(*(work(number) for number in range(5)))
    gc.collect()
    assert (order, len(locks)) == (list(range(5)), 0)


async def test_of_two_first_pushes_at_once_one_makes_production_and_the_other_a_preview(house: House) -> None:
    await asyncio.gather(house.push("main"), house.push("master"))
    found = await house.platform.db.read(environments.of_app, house.app.id)
    assert sorted((each.name == PRODUCTION, each.branch) for each in found) in (
        [(False, "main"), (True, "master")],
        [(False, "master"), (True, "main")],
    )
    production = next(each for each in found if each.name == PRODUCTION)
    assert house.git("symbolic-ref", "HEAD") == f"refs/heads/{production.branch}"
    assert len(house.platform.keepers) == 2


async def test_a_preview_that_is_made_while_its_app_waits_to_be_destroyed_is_destroyed_too(
    house: House,
) -> None:
    house.builder.image = image_of(web="serve 200", release="sleep 0.3")
    async with house.platform.lock(house.production):
        destroying = asyncio.create_task(destroy_app(house.platform, house.app, house.ada, "shop"))
        while not house.platform.lock(house.production)._waiters:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        pushing = asyncio.create_task(house.push("topic"))
        while not house.engine.tasks:  # noqa: ASYNC110 (its release command runs)
            await asyncio.sleep(0.01)
    await asyncio.gather(destroying, pushing, return_exceptions=True)
    await house.settled()
    assert (house.router.routes, house.engine.running, house.platform.keepers) == ({}, [], {})
