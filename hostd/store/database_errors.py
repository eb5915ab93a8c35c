"""SQLite's errors in words: whose fault, and what to do."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from hostd.errors import Unavailable


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of the disk, the file and its locks into Unavailable. Errors of our SQL pass: they are bugs."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        reason = _reason(error, path)
        if reason is None:
            raise
        raise reason from error


def damaged(path: Path) -> Unavailable:
    """The database's own pages contradict each other, or it is no database at all."""
    return Unavailable(
        f"the database {path} is damaged",
        hint=f"put a backup in its place (mv {path} {path}.damaged; rm -f {path}-wal {path}-shm; "
        f"cp BACKUP {path}), or save what can be read: sqlite3 {path}.damaged .recover | sqlite3 {path}",
    )


def _reason(error: DBAPIError | sqlite3.Error, path: Path) -> Unavailable | None:
    original = error.orig if isinstance(error, DBAPIError) else error
    # The low byte is the primary result code (sqlite.org/rescode.html, section 3).
    match getattr(original, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return Unavailable(
                "the disk is full: nothing could be saved",
                hint=f"free some space on the disk of {path.parent}, then try again",
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unavailable("the database is held by another program", hint="try again in a few seconds")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return damaged(path)
        case sqlite3.SQLITE_IOERR:
            return Unavailable(
                f"the disk of the database failed: {original}", hint="look for disk errors: dmesg | tail -50"
            )
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return Unavailable(
                f"the database {path} cannot be written: {original}",
                hint=f"see who owns it, and how it is mounted: ls -l {path}; findmnt -T {path}",
            )
    return None
