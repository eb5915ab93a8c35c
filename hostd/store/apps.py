"""Apps. A destroyed one leaves a tombstone, so that its name and its id are never anybody else's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from hostd.errors import Conflict, NotFound
from hostd.model.app import PRODUCTION, App
from hostd.model.names import shown
from hostd.store.owned import remove_owned
from hostd.store.tables import apps, environments


def create(connection: Connection, name: str, owner_id: int, now: datetime) -> App:
    """A new App. Raises Conflict, in the same words for a name in use and one that was: neither is told."""
    if connection.scalar(select(apps.c.id).where(apps.c.name == name)) is not None:
        raise Conflict(f"the name {name} is not available", hint="choose another name")
    row = apps.insert().values(name=name, owner_id=owner_id, production_branch="main", created_at=now)
    app_id = connection.execute(row.returning(apps.c.id)).scalar_one()
    return by_id(connection, app_id)


def by_name(connection: Connection, name: str) -> App:
    """Raises NotFound, also for one that was destroyed."""
    found = _living(connection, apps.c.name == name)
    if not found:
        raise NotFound(f"there is no app called {shown(name)}")
    return found[0]


def by_id(connection: Connection, app_id: int) -> App:
    """Raises NotFound, also for one that was destroyed."""
    found = _living(connection, apps.c.id == app_id)
    if not found:
        raise NotFound(f"there is no app with the id {app_id}")
    return found[0]


def list_all(connection: Connection) -> Sequence[App]:
    """All Apps there are, by name."""
    return _living(connection)


def destroyed(connection: Connection) -> Sequence[App]:
    """The Apps there were: their names and ids are taken for ever."""
    return [_app(row) for row in connection.execute(select(apps).where(apps.c.destroyed_at.is_not(None)))]


def list_of(connection: Connection, owner_id: int) -> Sequence[App]:
    """The Apps of one User, by name."""
    return _living(connection, apps.c.owner_id == owner_id)


def set_production_branch(connection: Connection, app_id: int, branch: str) -> None:
    """From now on `branch` is what the App's production Environment runs."""
    connection.execute(apps.update().where(apps.c.id == app_id).values(production_branch=branch))
    production = (environments.c.app_id == app_id, environments.c.name == PRODUCTION)
    connection.execute(environments.update().where(*production).values(branch=branch))


def destroy(connection: Connection, app_id: int, now: datetime) -> None:
    """Forget all of the App but its tombstone. Raises NotFound."""
    living = (apps.c.id == app_id, apps.c.destroyed_at.is_(None))
    if connection.execute(apps.update().where(*living).values(destroyed_at=now)).rowcount == 0:
        raise NotFound(f"there is no app with the id {app_id}")
    remove_owned(connection, apps, [app_id])


def erase(connection: Connection, app_id: int) -> None:
    """Forget an App of which nothing ever ran, its name too."""
    remove_owned(connection, apps, [app_id])
    connection.execute(apps.delete().where(apps.c.id == app_id))


def _living(connection: Connection, *conditions: ColumnElement[bool]) -> list[App]:
    query = select(apps).where(apps.c.destroyed_at.is_(None), *conditions).order_by(apps.c.name)
    return [_app(row) for row in connection.execute(query)]


def _app(row: Row[Any]) -> App:
    return App(row.id, row.name, row.owner_id, row.created_at, row.production_branch)
