"""ConfigVars of an Environment. Values are encrypted before they come here."""

from sqlalchemy import ColumnElement, Connection, select

from hostd.store.tables import config_vars


def of(connection: Connection, environment_id: int) -> dict[str, bytes]:
    """All of the Environment's, encrypted, by name."""
    mine = select(config_vars.c.name, config_vars.c.value).where(
        config_vars.c.environment_id == environment_id
    )
    return {row.name: row.value for row in connection.execute(mine.order_by(config_vars.c.name))}


def set(connection: Connection, environment_id: int, name: str, value: bytes) -> None:
    """Give `name` the encrypted `value`, whether it had one or not."""
    update = config_vars.update().where(*_this(environment_id, name)).values(value=value)
    if connection.execute(update).rowcount == 0:
        row = config_vars.insert().values(environment_id=environment_id, name=name, value=value)
        connection.execute(row)


def unset(connection: Connection, environment_id: int, name: str) -> bool:
    """Forget `name`. False if there was none."""
    return connection.execute(config_vars.delete().where(*_this(environment_id, name))).rowcount > 0


def _this(environment_id: int, name: str) -> tuple[ColumnElement[bool], ...]:
    return config_vars.c.environment_id == environment_id, config_vars.c.name == name
