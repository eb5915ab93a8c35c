"""Forges, one for each App that follows a repository elsewhere, and the branches that came from forks."""

from typing import Any

from sqlalchemy import Connection, Row, select

from hostd.errors import Conflict, NotFound
from hostd.model.forge import Forge, Kind
from hostd.store.tables import apps, deliveries, forges, fork_branches


def create(connection: Connection, forge: Forge) -> None:
    """Raises Conflict if the App follows a repository already."""
    there = connection.scalar(select(forges.c.repository).where(forges.c.app_id == forge.app_id))
    if there is not None:
        raise Conflict(
            f"this app follows {there} already", hint="hostd forges disconnect; then connect again"
        )
    row = {name: getattr(forge, name) for name in forges.c.keys()}  # noqa: SIM118 (not a dict)
    connection.execute(forges.insert().values(row))


def by_id(connection: Connection, forge_id: str) -> Forge:
    """Raises NotFound, also where the App was destroyed."""
    row = connection.execute(select(forges).where(forges.c.id == forge_id)).one_or_none()
    if row is None:
        raise NotFound("there is no such webhook", hint="its URL: hostd forges show")
    return _forge(row)


def of_app(connection: Connection, app_id: int) -> Forge:
    """Raises NotFound if the App follows none."""
    row = connection.execute(select(forges).where(forges.c.app_id == app_id)).one_or_none()
    if row is None:
        raise NotFound("this app follows no repository", hint="hostd forges connect --repository URL")
    return _forge(row)


def remove(connection: Connection, forge: Forge) -> None:
    """Forget the Forge and all it delivered. Branches that came from forks stay known as such."""
    connection.execute(deliveries.delete().where(deliveries.c.forge_id == forge.id))
    connection.execute(forges.delete().where(forges.c.id == forge.id))


def mark_fork(connection: Connection, app_id: int, branch: str) -> None:
    """From now on what runs `branch` has no ConfigVars of the App's Previews. Nothing if it is so already."""
    if not of_fork(connection, app_id, branch):
        connection.execute(fork_branches.insert().values(app_id=app_id, branch=branch))


def unmark_fork(connection: Connection, app_id: int, branch: str) -> None:
    """The branch is gone."""
    connection.execute(fork_branches.delete().where(*_this(app_id, branch)))


def of_fork(connection: Connection, app_id: int, branch: str) -> bool:
    """Whether the branch holds what came from a fork."""
    return connection.execute(select(fork_branches).where(*_this(app_id, branch))).first() is not None


def app_ids(connection: Connection, states: tuple[str, ...]) -> list[int]:
    """Apps with Deliveries in one of these states."""
    query = (
        select(forges.c.app_id)
        .join(deliveries, deliveries.c.forge_id == forges.c.id)
        .join(apps, apps.c.id == forges.c.app_id)
        .where(deliveries.c.state.in_(states), apps.c.destroyed_at.is_(None))
    )
    return list(connection.scalars(query.distinct()))


def _this(app_id: int, branch: str) -> tuple[Any, ...]:
    return fork_branches.c.app_id == app_id, fork_branches.c.branch == branch


def _forge(row: Row[Any]) -> Forge:
    return Forge(**{**row._mapping, "kind": Kind(row.kind)})
