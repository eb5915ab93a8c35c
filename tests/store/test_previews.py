from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from hostd.errors import NotFound
from hostd.model.app import App, Environment
from hostd.model.preview import PreviewSettings
from hostd.store import apps, builds, config_vars, environments, formation, previews
from hostd.store.database import Database
from hostd.store.tables import metadata
from tests.store.samples import COMMIT, LATER, NOW, VAR, environment_of, release_of


def shop_with_preview(connection: Connection) -> tuple[App, Environment, Environment]:
    """An App with production and one Preview."""
    production = environment_of(connection, "shop")
    app = apps.by_id(connection, production.app_id)
    fix = environments.create(connection, app, "fix", "fix", "fix--shop.localhost", NOW)
    return app, production, fix


async def test_a_preview_is_found_by_its_branch_and_production_is_none(db: Database) -> None:
    app, _, fix = await db.call(shop_with_preview)
    assert await db.read(environments.preview_of, app.id, "fix") == fix
    assert await db.read(environments.preview_of, app.id, "main") is None
    assert await db.read(environments.previews, app.id) == await db.read(environments.previews) == [fix]
    assert await db.read(environments.previews, app.id + 1) == []


async def test_settings_begin_as_they_are_and_are_kept(db: Database) -> None:
    app, production, fix = await db.call(shop_with_preview)
    assert await db.read(previews.settings_of, app.id) == PreviewSettings()
    for wanted in (PreviewSettings(False, 3, "ab:cd"), PreviewSettings(True, 9, "ef:01")):
        await db.call(previews.set_settings, app.id, wanted)
        assert await db.read(previews.settings_of, app.id) == wanted
    assert (await db.read(environments.by_id, fix.id)).password == "ef:01"
    assert (await db.read(environments.by_id, production.id)).password == ""


async def test_config_vars_of_previews_are_apart_from_those_of_environments(db: Database) -> None:
    app, production, fix = await db.call(shop_with_preview)
    await db.call(config_vars.set, config_vars.environment(production.id), "KEY", VAR)
    await db.call(config_vars.set, config_vars.previews(app.id), "KEY", VAR)
    assert await db.read(config_vars.of, config_vars.previews(app.id)) == {"KEY": VAR}
    assert await db.read(config_vars.of, config_vars.environment(fix.id)) == {}
    await db.call(config_vars.unset, config_vars.previews(app.id), "KEY")
    await db.call(config_vars.unset, config_vars.previews(app.id), "KEY")
    assert await db.read(config_vars.of, config_vars.previews(app.id)) == {}
    assert await db.read(config_vars.of, config_vars.environment(production.id)) == {"KEY": VAR}


async def test_the_last_push_is_the_last_build_or_else_the_beginning(db: Database) -> None:
    _, production, fix = await db.call(shop_with_preview)
    for moment in (LATER, NOW - timedelta(days=1)):
        await db.call(builds.start, fix.id, COMMIT, "ada", moment)
    assert await db.read(environments.last_pushes) == {production.id: NOW, fix.id: LATER}


async def test_nothing_of_a_destroyed_preview_is_left_and_production_is_untouched(db: Database) -> None:
    def fill(connection: Connection, environment_id: int) -> None:
        config_vars.set(connection, config_vars.environment(environment_id), "KEY", VAR)
        formation.set(connection, environment_id, "web", 2)
        release_of(connection, environment_id)
        builds.start(connection, environment_id, COMMIT, "ada", NOW)

    def rows(connection: Connection) -> dict[str, int | None]:
        return {
            name: connection.scalar(select(func.count()).select_from(table))
            for name, table in metadata.tables.items()
        }

    _, production, fix = await db.call(shop_with_preview)
    await db.call(fill, production.id)
    before = await db.read(rows)
    await db.call(fill, fix.id)
    await db.call(environments.destroy, fix.id)
    assert await db.read(rows) == {**before, "environments": 1}
    with pytest.raises(NotFound):
        await db.read(environments.by_id, fix.id)


async def test_nothing_of_previews_is_left_of_a_destroyed_app(db: Database) -> None:
    app, _, _ = await db.call(shop_with_preview)
    await db.call(previews.set_settings, app.id, PreviewSettings(days=3))
    await db.call(config_vars.set, config_vars.previews(app.id), "KEY", VAR)
    await db.call(apps.destroy, app.id, LATER)
    assert await db.read(environments.previews) == []
    assert await db.read(previews.settings_of, app.id) == PreviewSettings()
    assert await db.read(config_vars.of, config_vars.previews(app.id)) == {}
    with pytest.raises(NotFound):
        await db.call(environments.create, app, "late", "late", "late--shop.localhost", LATER)
