"""Facts about this installation as a whole, such as its id."""

from sqlalchemy import Connection, select

from hostd.store.tables import settings


def setting(connection: Connection, key: str) -> str | None:
    """What was set; None if nothing was."""
    return connection.scalar(select(settings.c.value).where(settings.c.key == key))


def set(connection: Connection, key: str, value: str) -> None:
    """Keep `value` under `key`, whether there was one or not."""
    update = settings.update().where(settings.c.key == key).values(value=value)
    if connection.execute(update).rowcount == 0:
        connection.execute(settings.insert().values(key=key, value=value))
