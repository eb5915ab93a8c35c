"""What a disk and a kill can do to the database (faults.md F14, F20-F22 and promise 22)."""

import asyncio
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from hostd import mounts
from hostd.errors import Unavailable
from hostd.store import installation
from hostd.store.database import Database

WRITER = """
import asyncio, sys
from pathlib import Path
from hostd.store import installation
from hostd.store.database import Database

async def main():
    db, number = Database.open(Path(sys.argv[1])), int(sys.argv[2])
    while True:
        await db.call(installation.set, str(number), "x" * 500)
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


def test_a_writer_killed_at_any_moment_loses_nothing_it_acknowledged(path: Path) -> None:
    acknowledged = 0
    for lines in (1, 40, 150):
        acknowledged = write_and_be_killed(path, acknowledged + 1, lines)
    assert asyncio.run(values(path, acknowledged)) == ["x" * 500] * acknowledged


def write_and_be_killed(path: Path, first: int, lines: int) -> int:
    """The last number that a writer acknowledged which was killed after `lines` of them, or soon after."""
    argv = [sys.executable, "-c", WRITER, str(path), str(first)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        numbers = [writer.stdout.readline() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        return int([*numbers, *writer.stdout.readlines()][-1])


async def values(path: Path, count: int) -> list[str | None]:
    database = Database.open(path)
    found = [await database.read(installation.setting, str(number)) for number in range(1, count + 1)]
    database.close()
    return found


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    disk = Path(tempfile.mkdtemp(prefix="hostd-test-"))
    mounts.tmpfs(disk, size_mb=1, mode=0o700)
    yield disk
    mounts.unmount(disk)
    disk.rmdir()


@pytest.mark.root
async def test_a_full_disk_stops_writing_with_words_and_loses_nothing(tiny_disk: Path) -> None:
    database = Database.open(tiny_disk / "hostd.sqlite")
    written = 0
    with pytest.raises(Unavailable, match="the disk is full") as caught:
        for written in range(1000):
            await database.call(installation.set, str(written), "x" * 10_000)
    assert str(tiny_disk) in caught.value.hint
    assert written > 5
    kept = [await database.read(installation.setting, str(number)) for number in range(written + 1)]
    assert kept == ["x" * 10_000] * written + [None]
    database.close()
    again = Database.open(tiny_disk / "hostd.sqlite")
    assert await again.read(installation.setting, str(written - 1)) == "x" * 10_000
    again.close()


@pytest.mark.root
async def test_writing_goes_on_once_there_is_room_again(tiny_disk: Path) -> None:
    database = Database.open(tiny_disk / "hostd.sqlite")
    filler = tiny_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(2 * 1024 * 1024))
    with pytest.raises(Unavailable, match="the disk is full"):
        for number in range(100):
            await database.call(installation.set, "id", str(number) * 4000)
    filler.unlink()
    await database.call(installation.set, "id", "here")
    assert await database.read(installation.setting, "id") == "here"
    database.close()


@pytest.mark.root
def test_a_disk_without_room_for_a_database_says_so(tiny_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        (tiny_disk / "filler").write_bytes(bytes(2 * 1024 * 1024))
    with pytest.raises(Unavailable, match="the disk is full"):
        Database.open(tiny_disk / "hostd.sqlite")


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"missing/hostd\.sqlite cannot be used: No such file"):
        Database.open(tmp_path / "missing" / "hostd.sqlite")


@pytest.fixture
def filled(path: Path) -> Path:
    """A closed database of about 400 KB."""

    def fill(connection: Connection) -> None:
        for number in range(300):
            installation.set(connection, str(number), "x" * 1000)

    database = Database.open(path)
    asyncio.run(database.call(fill))
    database.close()
    return path


def test_a_file_damaged_in_the_middle_is_refused_with_the_way_to_restore_it(filled: Path) -> None:
    content = bytearray(filled.read_bytes())
    middle = len(content) // 2 // 4096 * 4096  # the header of a page
    content[middle : middle + 100] = random.Random(1).randbytes(100)
    filled.write_bytes(content)
    with pytest.raises(Unavailable, match=f"{filled} is damaged") as caught:
        Database.open(filled)
    assert f"cp BACKUP {filled}" in caught.value.hint
    assert filled.read_bytes() == content


def test_a_file_cut_short_is_refused(filled: Path) -> None:
    filled.write_bytes(filled.read_bytes()[: 30 * 4096])
    with pytest.raises(Unavailable, match="is damaged"):
        Database.open(filled)


@pytest.mark.parametrize("content", [b"not a database at all" * 500, b"SQLite format 3\0" + bytes(8000)])
def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(Unavailable, match=f"{path} is damaged"):
        Database.open(path)
    assert path.read_bytes() == content
