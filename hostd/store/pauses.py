"""Pauses: which Environments take no pushes, and why. One row each; none where pushes are deployed."""

from sqlalchemy import Connection, select

from hostd.model.pause import Pause
from hostd.store.tables import pauses


def of(connection: Connection, environment_id: int) -> Pause | None:
    """The Pause of an Environment, if it has one."""
    row = connection.execute(select(pauses).where(pauses.c.environment_id == environment_id)).first()
    return Pause(row.author, row.reason, row.since) if row else None


def begin(connection: Connection, environment_id: int, pause: Pause) -> None:
    """From now on it has this Pause, and no other."""
    end(connection, environment_id)
    values = {"author": pause.author, "reason": pause.reason, "since": pause.since}
    connection.execute(pauses.insert().values(environment_id=environment_id, **values))


def end(connection: Connection, environment_id: int) -> None:
    """It has none any more. Nothing if it had none."""
    connection.execute(pauses.delete().where(pauses.c.environment_id == environment_id))
