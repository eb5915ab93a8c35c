import pytest

from hostd.errors import Conflict, NotFound
from hostd.model.app import Environment
from hostd.store import apps, environments
from hostd.store.database import Database
from tests.store.samples import NOW, environment_of


async def test_an_environment_is_found_by_id_and_by_name(db: Database) -> None:
    production = await db.call(environment_of, "shop")
    assert production == Environment(1, 1, "shop", "production", "main", "shop.localhost")
    assert await db.read(environments.by_id, production.id) == production
    assert await db.read(environments.by_name, production.app_id, "production") == production


async def test_environments_are_listed_oldest_first(db: Database) -> None:
    shop = await db.call(environment_of, "shop")
    blog = await db.call(environment_of, "blog", "eve")
    app = await db.read(apps.by_name, "shop")
    preview = await db.call(environments.create, app, "fix", "fix", "fix--shop.localhost", NOW)
    assert await db.read(environments.of_app, app.id) == [shop, preview]
    assert await db.read(environments.every) == [shop, blog, preview]


async def test_an_environment_that_is_not_there_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound, match="no environment called 'fix'"):
        await db.read(environments.by_name, 1, "fix")
    with pytest.raises(NotFound, match="no environment with the id 9"):
        await db.read(environments.by_id, 9)


@pytest.mark.parametrize(("name", "host"), [("production", "other.localhost"), ("other", "shop.localhost")])
async def test_a_name_and_a_host_are_given_once(db: Database, name: str, host: str) -> None:
    shop = await db.call(environment_of, "shop")
    app = await db.read(apps.by_id, shop.app_id)
    with pytest.raises(Conflict, match="not available"):
        await db.call(environments.create, app, name, "main", host, NOW)
