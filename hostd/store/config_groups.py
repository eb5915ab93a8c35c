"""ConfigGroups and the Environments they are attached to. Their ConfigVars are in `config_vars`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from hostd.errors import Conflict, LimitExceeded, NotFound
from hostd.model.app import Environment
from hostd.model.config_group import GROUPS_LIMIT, ConfigGroup
from hostd.store import environments
from hostd.store.tables import config_group_attachments as attachments
from hostd.store.tables import config_group_vars, config_groups


def create(connection: Connection, name: str, owner_id: int, now: datetime) -> ConfigGroup:
    """A new ConfigGroup. Raises Conflict for a name in use, LimitExceeded past GROUPS_LIMIT."""
    if len(list_of(connection, owner_id)) >= GROUPS_LIMIT:
        raise LimitExceeded(f"at most {GROUPS_LIMIT} config groups", hint="hostd groups destroy NAME")
    if connection.scalar(select(config_groups.c.id).where(config_groups.c.name == name)) is not None:
        raise Conflict(f"the name {name} is not available", hint="choose another name")
    connection.execute(config_groups.insert().values(name=name, owner_id=owner_id, created_at=now))
    return by_name(connection, name)


def by_name(connection: Connection, name: str) -> ConfigGroup:
    """Raises NotFound."""
    found = _where(connection, config_groups.c.name == name)
    if not found:
        raise NotFound(f"there is no config group called {name}")
    return found[0]


def list_all(connection: Connection) -> Sequence[ConfigGroup]:
    """All there are, by name."""
    return _where(connection)


def list_of(connection: Connection, owner_id: int) -> Sequence[ConfigGroup]:
    """Those of one User, by name."""
    return _where(connection, config_groups.c.owner_id == owner_id)


def destroy(connection: Connection, group_id: int) -> None:
    """Forget it and its ConfigVars. Raises Conflict while it is attached."""
    places = places_of(connection, group_id)
    if places:
        raise Conflict(f"it is attached to {', '.join(place.label for place in places)}")
    connection.execute(config_group_vars.delete().where(config_group_vars.c.group_id == group_id))
    connection.execute(config_groups.delete().where(config_groups.c.id == group_id))


def attach(connection: Connection, group_id: int, environment_id: int) -> None:
    """Attach it as the last one. Raises Conflict if it is attached there already."""
    if connection.execute(select(attachments.c.id).where(*_this(group_id, environment_id))).first():
        raise Conflict("it is attached there already")
    connection.execute(attachments.insert().values(group_id=group_id, environment_id=environment_id))


def detach(connection: Connection, group_id: int, environment_id: int) -> None:
    """Raises NotFound if it is not attached there."""
    gone = attachments.delete().where(*_this(group_id, environment_id))
    if connection.execute(gone).rowcount == 0:
        raise NotFound("it is not attached there")


def attached_to(connection: Connection, environment_id: int) -> Sequence[ConfigGroup]:
    """Those attached to an Environment, in the order in which they were: the last one wins."""
    query = (
        select(config_groups)
        .join(attachments, attachments.c.group_id == config_groups.c.id)
        .where(attachments.c.environment_id == environment_id)
        .order_by(attachments.c.id)
    )
    return [_group(row) for row in connection.execute(query)]


def places_of(connection: Connection, group_id: int) -> Sequence[Environment]:
    """The Environments it is attached to."""
    query = select(attachments.c.environment_id).where(attachments.c.group_id == group_id)
    ids = [row.environment_id for row in connection.execute(query.order_by(attachments.c.id))]
    return [environments.by_id(connection, environment_id) for environment_id in ids]


def _this(group_id: int, environment_id: int) -> tuple[ColumnElement[bool], ...]:
    return attachments.c.group_id == group_id, attachments.c.environment_id == environment_id


def _where(connection: Connection, *conditions: ColumnElement[bool]) -> list[ConfigGroup]:
    query = select(config_groups).where(*conditions).order_by(config_groups.c.name)
    return [_group(row) for row in connection.execute(query)]


def _group(row: Row[Any]) -> ConfigGroup:
    return ConfigGroup(row.id, row.name, row.owner_id)
