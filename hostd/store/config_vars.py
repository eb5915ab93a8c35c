"""ConfigVars of those who hold some: an Environment, all Previews of an App, a ConfigGroup.

Values are encrypted before they come here.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, select

from hostd.model.config import Scope, scopes_in, scopes_text
from hostd.store.tables import config_group_vars, config_vars, preview_config_vars


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose ConfigVars: of a table, those with `id` in its first column."""

    table: Table
    id: int


@dataclass(frozen=True, slots=True)
class StoredVar:
    """A ConfigVar with its value encrypted."""

    value: bytes
    secret: bool
    scopes: frozenset[Scope]


def environment(environment_id: int) -> Holder:
    """An Environment's own."""
    return Holder(config_vars, environment_id)


def previews(app_id: int) -> Holder:
    """Those that every Preview of the App has."""
    return Holder(preview_config_vars, app_id)


def group(group_id: int) -> Holder:
    """A ConfigGroup's."""
    return Holder(config_group_vars, group_id)


def of(connection: Connection, holder: Holder) -> dict[str, StoredVar]:
    """All of the holder's, by name."""
    mine = select(holder.table).where(_held(holder)).order_by(holder.table.c.name)
    return {
        row.name: StoredVar(row.value, row.secret, scopes_in(row.scopes)) for row in connection.execute(mine)
    }


def set(connection: Connection, holder: Holder, name: str, var: StoredVar) -> None:
    """Give `name` this value and these scopes, whether it had any or not."""
    values = {"value": var.value, "secret": var.secret, "scopes": scopes_text(var.scopes)}
    update = holder.table.update().where(*_this(holder, name)).values(values)
    if connection.execute(update).rowcount == 0:
        owner = holder.table.c[0].name
        connection.execute(holder.table.insert().values({owner: holder.id, "name": name, **values}))


def unset(connection: Connection, holder: Holder, name: str) -> bool:
    """Forget `name`. False if there was none."""
    return connection.execute(holder.table.delete().where(*_this(holder, name))).rowcount > 0


def _held(holder: Holder) -> ColumnElement[bool]:
    held: ColumnElement[bool] = holder.table.c[0] == holder.id
    return held


def _this(holder: Holder, name: str) -> tuple[ColumnElement[bool], ...]:
    return _held(holder), holder.table.c.name == name
