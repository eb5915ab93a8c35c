"""The one way to the database: SQLite in WAL mode, one writer thread, a few read-only readers.

Only the writer's connection ever writes or checkpoints, which also keeps clear of the WAL-reset bug of SQLite
before 3.51.3 (two connections of which one resets the log while the other writes).
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, QueuePool, StaticPool, create_engine, event

from hostd import files
from hostd.errors import Unavailable
from hostd.store import migrations
from hostd.store.database_errors import damaged, explained

READERS = 4
PATIENCE = 5.0  # seconds that a write waits for another program's lock
FULL = 2  # of PRAGMA synchronous: a commit is on disk before it is acknowledged
WRITER_PRAGMAS: Mapping[str, str | int] = {"journal_mode": "wal", "synchronous": FULL, "foreign_keys": 1}

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """Runs functions of a Connection, each in a transaction of its own. `open` makes one, `close` ends it."""

    def __init__(self, path: Path, writer: Connection, readers: Engine) -> None:
        self.path = path
        self._writer = writer
        self._readers = readers
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._reading = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")

    @staticmethod
    def open(path: Path) -> "Database":
        """Create the file if need be (mode 0600), check it whole and bring its schema up to date.

        Raises Unavailable, saying what to do: a damaged file, one of a newer hostd, a full disk.
        """
        _create(path)
        engine = create_engine("sqlite://", creator=partial(_connect_writer, path), poolclass=StaticPool)
        _begin_with(engine, "BEGIN IMMEDIATE")
        try:
            with explained(path):
                writer = engine.connect()
                _check(writer, path)
                with writer.begin():
                    migrations.upgrade(writer)
        except BaseException:
            engine.dispose()
            raise
        readers = create_engine(
            "sqlite://", creator=partial(_connect, path, "ro"), poolclass=QueuePool, pool_size=READERS
        )
        _begin_with(readers, "BEGIN")
        return Database(path, writer, readers)

    async def call(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(connection, *args)` alone, in a transaction; on disk for good when this returns.

        Rolled back if it raises. Raises Unavailable for a full disk, or a lock of another program's that lasts
        longer than PATIENCE. A caller cancelled meanwhile does not undo it: it happens whole or not at all.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._writing, lambda: self._write(lambda connection: function(connection, *args, **kwargs))
        )

    async def read(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function(connection, *args)` on one consistent state of the database; writing raises."""
        return await asyncio.get_running_loop().run_in_executor(
            self._reading, lambda: self._read(lambda connection: function(connection, *args, **kwargs))
        )

    def close(self) -> None:
        """Finish what was called, then leave a single file behind. Safe to repeat."""
        self._reading.shutdown()
        self._writing.shutdown()
        self._readers.dispose()
        self._writer.close()
        self._writer.engine.dispose()

    def _write(self, function: Callable[[Connection], T]) -> T:
        with explained(self.path), self._writer.begin():
            return function(self._writer)

    def _read(self, function: Callable[[Connection], T]) -> T:
        with explained(self.path), self._readers.connect() as connection:
            return function(connection)


def _create(path: Path) -> None:
    try:
        if path.exists():
            # By name: closing a descriptor of a database drops this process's SQLite locks on it.
            return path.chmod(0o600)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        files.sync_directory(path.parent)
    except OSError as error:
        raise Unavailable(f"the database {path} cannot be used: {error.strerror}") from error


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # isolation_level None: Python must not begin transactions by its own rules.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=PATIENCE,
        isolation_level=None,
        check_same_thread=False,
    )


def _connect_writer(path: Path) -> sqlite3.Connection:
    raw = _connect(path, "rw")
    for name, value in WRITER_PRAGMAS.items():
        raw.execute(f"PRAGMA {name} = {value}")
        # Not raising is no proof: SQLite answers with the mode it stayed in.
        if raw.execute(f"PRAGMA {name}").fetchone()[0] != value:
            raw.close()
            raise Unavailable(
                f"the database cannot be opened safely: {name} = {value} did not take",
                hint="keep hostd's data on a local disk, not on a network file system",
            )
    return raw


def _begin_with(engine: Engine, statement: str) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)


def _check(writer: Connection, path: Path) -> None:
    """Raises Unavailable for a file whose pages contradict each other."""
    with writer.begin():
        verdict = writer.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if verdict != "ok":
        raise damaged(path)
