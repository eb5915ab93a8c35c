"""Brings a database to the schema of `tables`, with Alembic, inside the caller's transaction: all of it or nothing.

Alembic is imported only when there is something to do: an up-to-date database is known by one SELECT.
"""

from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

from hostd.errors import Unavailable

REVISIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
)  # oldest first, as in versions/


def revision_of(connection: Connection) -> str | None:
    """The revision the database is at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.scalar(select(column("version_num")).select_from(table("alembic_version")))


def upgrade(connection: Connection) -> None:
    """Move to the newest revision. Raises Unavailable for a database that a newer hostd has written."""
    revision = revision_of(connection)
    if revision == REVISIONS[-1]:
        return
    if revision is not None and revision not in REVISIONS:
        raise Unavailable(
            f"the database was written by a newer hostd (its schema is {revision}, this hostd knows "
            f"{REVISIONS[-1]})",
            hint="start the newer hostd, or restore the backup made before it was first started",
        )
    _migrate(connection)


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    command.upgrade(config, "head")
