"""Removing rows with all that belongs to them, which is what refers to them: the foreign keys say it once for all."""

from collections.abc import Sequence

from sqlalchemy import Connection, Table, select

from hostd.store.tables import metadata


def remove_owned(connection: Connection, table: Table, ids: Sequence[int | str]) -> None:
    """Delete what refers to the rows of `table` with these ids, however far; the rows themselves stay."""
    if not ids:
        return
    for owned in reversed(metadata.sorted_tables):
        for key in owned.foreign_keys:
            if key.column.table is not table:
                continue
            theirs = key.parent.in_(ids)
            if "id" in owned.c:
                remove_owned(connection, owned, connection.scalars(select(owned.c.id).where(theirs)).all())
            connection.execute(owned.delete().where(theirs))
