"""After how many idle seconds an Environment sleeps, where that was set."""

from collections.abc import Mapping

from sqlalchemy import Connection, select

from hostd.store.tables import sleep_settings


def every(connection: Connection) -> Mapping[int, int]:
    """Seconds by Environment id; 0 is never. Environments that are not here have the default."""
    return {row.environment_id: row.after for row in connection.execute(select(sleep_settings))}


def set_after(connection: Connection, environment_id: int, after: int | None) -> None:
    """Set the seconds; None: the default again."""
    connection.execute(sleep_settings.delete().where(sleep_settings.c.environment_id == environment_id))
    if after is not None:
        connection.execute(sleep_settings.insert().values(environment_id=environment_id, after=after))
