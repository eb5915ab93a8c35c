"""Environments: the places an App runs, production first, then a Preview for each branch that has one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select

from hostd.errors import Conflict, NotFound
from hostd.model.app import PRODUCTION, App, Environment, TlsSettings
from hostd.model.names import shown
from hostd.store.owned import remove_owned
from hostd.store.tables import apps, builds, environments, fork_branches, preview_settings, tls_settings

_TLS = (tls_settings.c.redirect, tls_settings.c.hsts)


def create(connection: Connection, app: App, name: str, branch: str, host: str, now: datetime) -> Environment:
    """A new Environment. Raises Conflict if the App has one of that name, or anybody one at that host, NotFound if
    the App was destroyed meanwhile."""
    namesake = (environments.c.app_id == app.id) & (environments.c.name == name)
    taken = select(environments.c.id).where(or_(namesake, environments.c.host == host))
    if connection.execute(taken).first() is not None:
        raise Conflict(f"{app.name} cannot have an environment {name} at {host}: it is not available")
    row = environments.insert().values(app_id=app.id, name=name, branch=branch, host=host, created_at=now)
    return by_id(connection, connection.execute(row.returning(environments.c.id)).scalar_one())


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


def preview_of(connection: Connection, app_id: int, branch: str) -> Environment | None:
    """The App's Preview of that branch, if it has one."""
    this = (environments.c.app_id == app_id, environments.c.branch == branch)
    found = _where(connection, *this, environments.c.name != PRODUCTION)
    return found[0] if found else None


def previews(connection: Connection, app_id: int | None = None) -> Sequence[Environment]:
    """All Previews of an App, or of all Apps, oldest first."""
    mine = () if app_id is None else (environments.c.app_id == app_id,)
    return _where(connection, environments.c.name != PRODUCTION, *mine)


def last_pushes(connection: Connection, app_id: int | None = None) -> Mapping[int, datetime]:
    """When the last Build of each Environment of an App, or of all Apps, began; when it was made if none did."""
    moment = func.coalesce(func.max(builds.c.started_at), environments.c.created_at)
    query = select(environments.c.id, moment.label("moment")).outerjoin(builds).group_by(environments.c.id)
    mine = query if app_id is None else query.where(environments.c.app_id == app_id)
    return {row.id: row.moment for row in connection.execute(mine)}


def destroy(connection: Connection, environment_id: int) -> None:
    """Forget an Environment and all it has. Nothing if it is not there."""
    remove_owned(connection, environments, [environment_id])
    connection.execute(environments.delete().where(environments.c.id == environment_id))


def every(connection: Connection) -> Sequence[Environment]:
    """All Environments of all Apps there are, oldest first."""
    return _where(connection)


def _where(connection: Connection, *conditions: ColumnElement[bool]) -> list[Environment]:
    of_fork = (fork_branches.c.app_id == environments.c.app_id) & (
        fork_branches.c.branch == environments.c.branch
    )
    query = (
        select(
            environments,
            apps.c.name.label("app"),
            preview_settings.c.password,
            fork_branches.c.branch.label("fork"),
            *_TLS,
        )
        .join(apps, apps.c.id == environments.c.app_id)
        .outerjoin(preview_settings, preview_settings.c.app_id == environments.c.app_id)
        .outerjoin(fork_branches, of_fork)
        .outerjoin(tls_settings, tls_settings.c.app_id == environments.c.app_id)
        .where(apps.c.destroyed_at.is_(None), *conditions)
        .order_by(environments.c.id)
    )
    return [_environment(row) for row in connection.execute(query)]


def _environment(row: Row[Any]) -> Environment:
    preview = row.name != PRODUCTION
    password = row.password or "" if preview else ""
    fork = preview and row.fork is not None
    tls = TlsSettings() if row.redirect is None else TlsSettings(row.redirect, row.hsts)
    return Environment(row.id, row.app_id, row.app, row.name, row.branch, row.host, password, fork, tls)
