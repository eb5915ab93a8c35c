"""Environments: the places an App runs."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, or_, select

from hostd.errors import Conflict, NotFound
from hostd.model.app import App, Environment
from hostd.model.names import shown
from hostd.store.tables import apps, environments


def create(connection: Connection, app: App, name: str, branch: str, host: str, now: datetime) -> Environment:
    """A new Environment. Raises Conflict if the App has one of that name, or anybody one at that host."""
    namesake = (environments.c.app_id == app.id) & (environments.c.name == name)
    taken = select(environments.c.id).where(or_(namesake, environments.c.host == host))
    if connection.execute(taken).first() is not None:
        raise Conflict(f"{app.name} cannot have an environment {name} at {host}: it is not available")
    row = environments.insert().values(app_id=app.id, name=name, branch=branch, host=host, created_at=now)
    environment_id = connection.execute(row.returning(environments.c.id)).scalar_one()
    return Environment(environment_id, app.id, app.name, name, branch, host)


def of_app(connection: Connection, app_id: int) -> Sequence[Environment]:
    """The App's Environments, oldest first."""
    return _where(connection, environments.c.app_id == app_id)


def by_name(connection: Connection, app_id: int, name: str) -> Environment:
    """Raises NotFound."""
    found = _where(connection, environments.c.app_id == app_id, environments.c.name == name)
    if not found:
        raise NotFound(f"this app has no environment called {shown(name)}")
    return found[0]


def by_id(connection: Connection, environment_id: int) -> Environment:
    """Raises NotFound."""
    found = _where(connection, environments.c.id == environment_id)
    if not found:
        raise NotFound(f"there is no environment with the id {environment_id}")
    return found[0]


def every(connection: Connection) -> Sequence[Environment]:
    """All Environments of all Apps there are, oldest first."""
    return _where(connection)


def _where(connection: Connection, *conditions: ColumnElement[bool]) -> list[Environment]:
    query = (
        select(environments, apps.c.name.label("app"))
        .join(apps)
        .where(apps.c.destroyed_at.is_(None), *conditions)
        .order_by(environments.c.id)
    )
    return [
        Environment(row.id, row.app_id, row.app, row.name, row.branch, row.host)
        for row in connection.execute(query)
    ]
