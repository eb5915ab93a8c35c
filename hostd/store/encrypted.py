"""All that is encrypted in the database, found by its column type: what a new key has to encrypt anew."""

from collections.abc import Callable, Sequence

from sqlalchemy import Column, Connection, select

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
    count = 0
    for column in columns():
        table = column.table
        keys = list(table.primary_key.columns)
        for row in connection.execute(select(*keys, column)).all():
            *key, value = row
            if value is not None:
                this = (part == wanted for part, wanted in zip(keys, key, strict=True))
                connection.execute(table.update().where(*this).values({column: anew(value)}))
                count += 1
    return count
