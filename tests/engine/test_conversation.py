"""Sitting at a task: back-pressure both ways, and a terminal that does what people expect of one."""

import asyncio

import pytest

from hostd.engine.local import LocalEngine
from hostd.model.instance import Exit, Limits
from hostd.model.task import Size, Task
from tests.engine.places import Place
from tests.eventually import until

pytestmark = pytest.mark.root


class Slow:
    """Types as fast as it may, and reads nothing until `reads`."""

    size: Size | None = None

    def __init__(self, data: bytes = b"", reads: bool = False) -> None:
        self.typed = self.given = 0
        self.reading = asyncio.Event()
        self._data = data
        if reads:
            self.reading.set()

    async def take(self) -> bytes | Size:
        if not self._data:
            await asyncio.Event().wait()
        self.typed += len(self._data)
        return self._data

    async def give(self, data: bytes, is_error: bool) -> None:
        self.given += len(data)
        await self.reading.wait()


class Typist:
    """Sits at a terminal and types each of `answers` once what is before it was printed."""

    def __init__(self, *answers: tuple[str, bytes]) -> None:
        self.size: Size | None = Size(80, 24)
        self.screen = ""
        self._answers = iter(answers)

    async def take(self) -> bytes | Size:
        for seen, typed in self._answers:
            await until(lambda seen=seen: seen in self.screen)  # type: ignore[misc]
            return typed
        await asyncio.Event().wait()
        raise AssertionError

    async def give(self, data: bytes, is_error: bool) -> None:
        self.screen += data.decode()


def bash(here: Place, line: str, seconds: float = 20.0) -> Task:
    env = {"PATH": "/usr/bin:/bin", "TERM": "dumb"}
    return Task(1, ("bash", "-c", line), env, image=here.image(), limits=Limits(seconds=seconds))


async def test_what_nobody_reads_is_not_taken_from_the_task(local: LocalEngine, here: Place) -> None:
    slow = Slow()
    assert await local.converse(bash(here, "cat /dev/zero", 1.0), slow) == Exit(137, "seconds")
    assert slow.given <= 64 * 1024


async def test_what_the_task_does_not_read_is_not_taken_from_its_person(
    local: LocalEngine, here: Place
) -> None:
    slow = Slow(b"y" * 4096, reads=True)
    assert await local.converse(bash(here, "sleep 60", 1.0), slow) == Exit(137, "seconds")
    assert slow.typed <= 128 * 1024


async def test_a_task_that_closes_its_input_goes_on(local: LocalEngine, here: Place) -> None:
    slow = Slow(b"y\n" * 2048, reads=True)
    assert await local.converse(bash(here, "exec <&-; sleep 0.3; exit 4"), slow) == Exit(4)


async def test_control_c_interrupts_what_is_in_the_foreground(local: LocalEngine, here: Place) -> None:
    typist = Typist(("here", b"\x03"))
    ended = await local.converse(
        bash(here, "trap 'echo interrupted; exit 9' INT; echo here; sleep 60"), typist
    )
    assert (ended, "interrupted" in typist.screen) == (Exit(9), True)


async def test_a_shell_at_a_terminal_has_job_control(local: LocalEngine, here: Place) -> None:
    typist = Typist(
        ("$ ", b"sleep 60\n"),
        ("sleep 60", b"\x1a"),
        ("Stopped", b"bg; kill %1; wait; echo the $((1 + 1))nd\n"),
        ("the 2nd", b"exit 6\n"),
    )
    ended = await local.converse(bash(here, "bash --norc -i"), typist)
    assert ended == Exit(6), typist.screen
    assert "no job control" not in typist.screen


async def test_the_terminal_belongs_to_the_app_and_has_a_name(local: LocalEngine, here: Place) -> None:
    typist = Typist()
    line = "tty && echo well > $(tty) && echo well > /dev/tty && echo well > /dev/stdout"
    assert await local.converse(bash(here, line), typist) == Exit(0), typist.screen
    assert typist.screen.count("well") == 3


async def test_a_signal_is_told_as_a_shell_tells_it(local: LocalEngine, here: Place) -> None:
    assert await local.converse(bash(here, "kill -TERM $$"), Typist()) == Exit(143)


async def test_what_a_task_leaves_in_the_background_ends_with_it(local: LocalEngine, here: Place) -> None:
    async with asyncio.timeout(10):
        assert await local.converse(bash(here, "sleep 600 & disown; exit 0"), Typist()) == Exit(0)
