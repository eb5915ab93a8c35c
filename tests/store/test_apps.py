import pytest
from sqlalchemy import Connection, func, select

from hostd.errors import Conflict, NotFound
from hostd.model.app import App
from hostd.model.build import BuildState
from hostd.model.pause import Pause
from hostd.store import (
    apps,
    builds,
    config_groups,
    config_vars,
    environments,
    formation,
    pauses,
    sleep,
    users,
)
from hostd.store.database import Database
from hostd.store.tables import metadata
from tests.store.samples import COMMIT, LATER, NOW, VAR, environment_of, release_of


async def test_an_app_is_found_by_name_and_by_id(db: Database) -> None:
    ada = await db.call(users.create, "ada", False, NOW)
    shop = await db.call(apps.create, "shop", ada.id, NOW)
    assert shop == App(1, "shop", ada.id, NOW, "main")
    assert await db.read(apps.by_name, "shop") == shop
    assert await db.read(apps.by_id, shop.id) == shop


async def test_apps_are_listed_by_name_and_by_owner(db: Database) -> None:
    ada = await db.call(users.create, "ada", False, NOW)
    eve = await db.call(users.create, "eve", False, NOW)
    for name, owner in (("shop", ada), ("blog", eve), ("docs-site", ada)):
        await db.call(apps.create, name, owner.id, NOW)
    assert [app.name for app in await db.read(apps.list_all)] == ["blog", "docs-site", "shop"]
    assert [app.name for app in await db.read(apps.list_of, ada.id)] == ["docs-site", "shop"]


async def test_the_production_branch_of_an_app_is_that_of_its_production_environment(db: Database) -> None:
    shop = await db.call(environment_of, "shop")
    blog = await db.call(environment_of, "blog", "eve")
    await db.call(apps.set_production_branch, shop.app_id, "trunk")
    assert (await db.read(apps.by_id, shop.app_id)).production_branch == "trunk"
    assert [each.branch for each in await db.read(environments.every)] == ["trunk", "main"]
    assert (await db.read(apps.by_id, blog.app_id)).production_branch == "main"


async def test_an_app_that_is_not_there_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound, match="no app called 'shop'"):
        await db.read(apps.by_name, "shop")
    with pytest.raises(NotFound, match="no app with the id 3"):
        await db.call(apps.destroy, 3, NOW)


async def test_a_name_in_use_and_one_of_a_destroyed_app_are_refused_in_the_same_words(db: Database) -> None:
    environment = await db.call(environment_of, "shop")
    with pytest.raises(Conflict) as in_use:
        await db.call(apps.create, "shop", 1, NOW)
    await db.call(apps.destroy, environment.app_id, LATER)
    with pytest.raises(Conflict) as was_in_use:
        await db.call(apps.create, "shop", 1, NOW)
    assert in_use.value.message == was_in_use.value.message == "the name shop is not available"


async def test_the_id_of_a_destroyed_app_is_never_given_again(db: Database) -> None:
    environment = await db.call(environment_of, "shop")
    await db.call(apps.destroy, environment.app_id, LATER)
    assert (await db.call(apps.create, "blog", 1, LATER)).id == environment.app_id + 1


async def test_nothing_of_a_destroyed_app_is_left_but_its_tombstone(db: Database) -> None:
    def make_all(connection: Connection) -> int:
        environment = environment_of(connection, "shop")
        config_vars.set(connection, config_vars.environment(environment.id), "KEY", VAR)
        group = config_groups.create(connection, "shared", 1, NOW)
        config_groups.attach(connection, group.id, environment.id)
        formation.set(connection, environment.id, "web", 2)
        sleep.set_after(connection, environment.id, 60)
        pauses.begin(connection, environment.id, Pause("ada", "", NOW))
        release_of(connection, environment.id)
        build = builds.start(connection, environment.id, COMMIT, "ada", NOW)
        builds.finish(connection, build, BuildState.SUCCEEDED, "text", "", 1, LATER)
        return environment.app_id

    def rows(connection: Connection) -> dict[str, int | None]:
        counts = {
            name: connection.scalar(select(func.count()).select_from(table))
            for name, table in metadata.tables.items()
        }
        return {name: count for name, count in counts.items() if count}

    app_id = await db.call(make_all)
    await db.call(apps.destroy, app_id, LATER)
    assert await db.read(rows) == {"users": 1, "apps": 1, "config_groups": 1}
    assert await db.read(apps.list_all) == []
    assert await db.read(environments.every) == []
    with pytest.raises(NotFound):
        await db.read(apps.by_name, "shop")
    with pytest.raises(NotFound):
        await db.call(apps.destroy, app_id, LATER)


async def test_destroying_one_app_leaves_the_others_alone(db: Database) -> None:
    shop = await db.call(environment_of, "shop")
    blog = await db.call(environment_of, "blog", "eve")
    await db.call(config_vars.set, config_vars.environment(blog.id), "KEY", VAR)
    await db.call(apps.destroy, shop.app_id, LATER)
    assert await db.read(environments.every) == [blog]
    assert await db.read(config_vars.of, config_vars.environment(blog.id)) == {"KEY": VAR}


async def test_an_app_of_which_nothing_ran_is_erased_with_its_name(db: Database) -> None:
    shop = await db.call(environment_of, "shop")
    await db.call(apps.erase, shop.app_id)
    again = await db.call(environment_of, "shop", "eve")
    assert again.app_id != shop.app_id
