"""What belongs to an App goes with it, whichever table it is in. The database itself refuses to leave an orphan."""

import pytest
from sqlalchemy import Connection, Table, func, select

from hostd.errors import NotFound
from hostd.model.autoscale import AutoscaleRule
from hostd.store import apps, autoscale, environments, pauses
from hostd.store.database import Database
from hostd.store.owned import remove_owned
from hostd.store.tables import deliveries, forges, metadata
from hostd.store.tables import environments as rows
from tests.store.samples import NOW, environment_of

BYTES = ("secret", "token")


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _row(connection: Connection, table: str, **values: object) -> None:
    """A row with `values`, and in every other column that needs one something that it takes."""
    columns = metadata.tables[table].columns
    for column in columns:
        if column.name not in values and not column.nullable:
            values[column.name] = (
                NOW if column.name.endswith("_at") else b"1" if column.name in BYTES else "1"
            )
    connection.execute(metadata.tables[table].insert().values(values))


def _own(connection: Connection) -> None:
    """A shop with something in tables that refer to it at first and at second hand."""
    shop = environment_of(connection, "shop")
    environment_of(connection, "blog", "eve")
    for environment_id in (1, 2):
        autoscale.set_rule(connection, environment_id, AutoscaleRule(1, 2, 10, None))
    _row(connection, "forges", id="f1", app_id=shop.app_id, user_id=1)
    _row(connection, "deliveries", id=1, forge_id="f1")


async def test_an_app_is_destroyed_with_all_it_owns_and_no_other(db: Database) -> None:
    await db.call(_own)
    await db.call(apps.destroy, 1, NOW)
    assert list(await db.read(autoscale.every)) == [2]
    for table in (forges, deliveries):
        assert await db.read(_count, table) == 0
    with pytest.raises(NotFound):
        await db.read(apps.by_id, 1)


async def test_an_environment_is_destroyed_with_all_it_owns(db: Database) -> None:
    await db.call(_own)
    await db.call(environments.destroy, 1)
    assert list(await db.read(autoscale.every)) == [2]
    assert await db.read(pauses.of, 1) is None


async def test_what_owns_nothing_is_left_alone(db: Database) -> None:
    await db.call(_own)
    await db.call(remove_owned, rows, [])
    assert sorted(await db.read(autoscale.every)) == [1, 2]
