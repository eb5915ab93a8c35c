import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection

from hostd.errors import Conflict, Unavailable
from hostd.model.release import Release
from hostd.store import installation
from hostd.store.database import Database
from tests.store.samples import environment_of, release_of


def count_up(connection: Connection) -> int:
    number = int(installation.setting(connection, "number") or 0) + 1
    installation.set(connection, "number", str(number))
    return number


async def test_a_database_is_private_and_durable(db: Database, path: Path) -> None:
    def pragmas(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert await db.call(pragmas) == ["wal", 2, 1]
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("hostd.sqlite", "hostd.sqlite-shm", "hostd.sqlite-wal"), "0o600")


def test_opening_closes_a_file_that_others_could_read(path: Path) -> None:
    Database.open(path).close()
    path.chmod(0o644)
    Database.open(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_closing_leaves_one_file_with_everything_in_it(path: Path) -> None:
    database = Database.open(path)
    await database.call(installation.set, "id", "here")
    database.close()
    database.close()
    assert [file.name for file in path.parent.iterdir()] == ["hostd.sqlite"]
    again = Database.open(path)
    assert await again.read(installation.setting, "id") == "here"
    again.close()


async def test_a_directory_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "50% ?mode=memory #1" / "hostd.sqlite"
    path.parent.mkdir()
    database = Database.open(path)
    await database.call(installation.set, "id", "here")
    assert await database.read(installation.setting, "id") == "here"
    database.close()
    assert path.stat().st_size > 0


async def test_many_calls_at_once_stay_serial(db: Database) -> None:
    numbers = await asyncio.gather(*(db.call(count_up) for _ in range(300)))
    assert sorted(numbers) == list(range(1, 301))


async def test_two_openings_of_one_file_never_give_a_number_twice(db: Database, path: Path) -> None:
    other = Database.open(path)
    numbers = await asyncio.gather(*(each.call(count_up) for _ in range(100) for each in (db, other)))
    other.close()
    assert sorted(numbers) == list(range(1, 201))


async def test_release_numbers_have_no_gaps_or_repeats_after_many_at_once(db: Database) -> None:
    environment = await db.call(environment_of, "shop")

    def sometimes(connection: Connection, turn: int) -> Release:
        release = release_of(connection, environment.id)
        if turn % 3 == 0:
            raise Conflict("changed my mind")
        return release

    results = await asyncio.gather(*(db.call(sometimes, turn) for turn in range(90)), return_exceptions=True)
    numbers = [result.number for result in results if isinstance(result, Release)]
    assert sorted(numbers) == list(range(1, 61))


async def test_a_call_that_raises_changes_nothing(db: Database) -> None:
    def change_then_fail(connection: Connection) -> None:
        installation.set(connection, "id", "half")
        raise Conflict("no")

    with pytest.raises(Conflict):
        await db.call(change_then_fail)
    assert await db.read(installation.setting, "id") is None
    await db.call(installation.set, "id", "whole")
    assert await db.read(installation.setting, "id") == "whole"


async def test_a_read_cannot_write(db: Database) -> None:
    with pytest.raises(Unavailable):
        await db.read(installation.set, "id", "x")
    assert await db.read(installation.setting, "id") is None


async def test_a_read_sees_one_state_though_others_write_meanwhile(db: Database) -> None:
    started, written = threading.Event(), threading.Event()

    def twice(connection: Connection) -> tuple[str | None, str | None]:
        before = installation.setting(connection, "id")
        started.set()
        assert written.wait(10)
        return before, installation.setting(connection, "id")

    await db.call(installation.set, "id", "old")
    reading = asyncio.create_task(db.read(twice))
    assert await asyncio.to_thread(started.wait, 10)
    await db.call(installation.set, "id", "new")
    written.set()
    assert await reading == ("old", "old")
    assert await db.read(installation.setting, "id") == "new"


async def test_a_caller_that_is_cancelled_does_not_tear_its_call(db: Database) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slowly(connection: Connection) -> None:
        installation.set(connection, "first", "1")
        started.set()
        assert go_on.wait(10)
        installation.set(connection, "second", "2")

    calling = asyncio.create_task(db.call(slowly))
    assert await asyncio.to_thread(started.wait, 10)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    go_on.set()
    await db.call(installation.set, "third", "3")  # the writer is free again
    assert [await db.read(installation.setting, key) for key in ("first", "second")] == ["1", "2"]


async def test_foreign_keys_are_kept(db: Database) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY"):
        await db.call(release_of, 77)


@pytest.mark.slow
async def test_a_lock_of_another_program_gives_words_after_five_seconds_and_stops_no_reader(
    db: Database, path: Path
) -> None:
    await db.call(installation.set, "id", "here")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    loop = asyncio.get_running_loop()
    began = loop.time()
    waiting = asyncio.create_task(db.call(installation.set, "id", "there"))
    assert await db.read(installation.setting, "id") == "here"
    with pytest.raises(Unavailable, match="held by another program") as caught:
        await waiting
    assert 4.5 < loop.time() - began < 8
    assert "try again" in caught.value.hint
    other.execute("ROLLBACK")
    other.close()
    await db.call(installation.set, "id", "there")
    assert await db.read(installation.setting, "id") == "there"
