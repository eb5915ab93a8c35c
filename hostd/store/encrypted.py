"""All that is encrypted in the database, found by its column type: what a new key has to encrypt anew."""

from collections.abc import Callable, Sequence

from sqlalchemy import Column, Connection, bindparam, select

from hostd.store.tables import Encrypted, metadata


def columns() -> Sequence[Column[bytes]]:
    """Every column of the type Encrypted, of all tables."""
    return [
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Encrypted)
    ]


def encrypt_anew(connection: Connection, anew: Callable[[bytes], bytes]) -> int:
    """Replace every encrypted value by what `anew` makes of it; how many there were."""
    # Else SQLite leaves what it replaces in free space of the file, where the old key still opens it.
    connection.exec_driver_sql("PRAGMA secure_delete = 1")
    return sum(_encrypt_column_anew(connection, column, anew) for column in columns())


def _encrypt_column_anew(
    connection: Connection, column: Column[bytes], anew: Callable[[bytes], bytes]
) -> int:
    table, keys = column.table, list(column.table.primary_key.columns)
    rows = connection.execute(select(*keys, column).where(column.is_not(None))).all()
    this = [key == bindparam(f"key{number}") for number, key in enumerate(keys)]
    changes = [
        {"anew": anew(value)} | {f"key{number}": part for number, part in enumerate(key)}
        for *key, value in rows
    ]
    if changes:
        connection.execute(table.update().where(*this).values({column: bindparam("anew")}), changes)
    return len(changes)
