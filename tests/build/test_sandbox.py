"""The limits of a Build, in words for the pusher."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from hostd.build.sandbox import Sandbox, usage
from hostd.errors import LimitExceeded
from hostd.model.instance import BUILD_LIMITS, Exit, Limits
from hostd.model.task import Bind, Task
from tests.build import yard as yards
from tests.build.yard import Yard


class Ending:
    """A Runner whose tasks all end in one way."""

    def __init__(self, how: Exit) -> None:
        self._how = how

    async def run(self, task: Task, on_line: Callable[[str], None]) -> Exit:
        """End at once."""
        return self._how


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("seconds", "the build took longer than 15 min"),
        ("memory", "the build used more than 2048 MB of memory"),
        ("processes", "the build ran more than 512 processes at once"),
        ("output", "the build printed more than 20 MB"),
        ("depth", "the build made directories nested deeper than 100"),
        ("disk", "the build wrote more than 4096 MB to disk"),
        ("files", "the build went over its limit of files"),
    ],
)
async def test_each_limit_has_words_of_its_own(limit: str, message: str) -> None:
    sandbox = Sandbox(Ending(Exit(137, limit)), 7, (), BUILD_LIMITS)
    with pytest.raises(LimitExceeded) as refusal:
        await sandbox.run(("true",), {}, (), print)
    assert refusal.value.message == message


async def test_an_exit_status_is_handed_on() -> None:
    assert await Sandbox(Ending(Exit(3)), 7, ()).run(("true",), {}, (), print) == 3


@pytest.mark.root
async def test_the_time_is_for_all_programs_of_a_build_together(yard: Yard) -> None:
    sandbox = Sandbox(yard.runner, 7, (), Limits(seconds=1.0))
    assert await sandbox.run(("sleep", "0.2"), {"PATH": "/usr/bin"}, (), print) == 0
    with pytest.raises(LimitExceeded):
        await sandbox.run(("sleep", "60"), {"PATH": "/usr/bin"}, (), print)
    assert yard.runner.tasks[1].limits.seconds <= 0.8


@pytest.mark.root
async def test_a_build_that_fills_the_disk_is_stopped(yard: Yard) -> None:
    place = yard.root / "place"
    place.mkdir()
    yards.give(place, 200_007)
    sandbox = Sandbox(yard.runner, 7, (place,), Limits(seconds=60, disk_mb=5))
    fill = ("sh", "-c", "cd /place; head -c 9000000 /dev/zero > big; echo full; exec sleep 60")
    lines: list[str] = []
    async with asyncio.timeout(30):
        with pytest.raises(LimitExceeded, match="the build wrote more than 5 MB to disk"):
            await sandbox.run(
                fill, {"PATH": "/usr/bin:/bin"}, (Bind(place, "/place", writable=True),), lines.append
            )
    assert lines == ["full"]


def test_what_vanishes_while_it_is_counted_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    (tmp_path / "link").symlink_to("/")
    assert 10_000 <= usage([tmp_path, tmp_path / "none"]).size < 100_000


def test_directories_nested_too_deep_are_noticed_and_not_followed(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(120):
        deep /= "d"
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"x" * 10_000_000)
    found = usage([tmp_path])
    assert found.depth == 101
    assert found.size < 10_000_000
