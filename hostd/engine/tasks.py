"""Looks after a task in its sandbox until it ends or hits a limit, and passes its output on."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable
from typing import Protocol

from hostd import command
from hostd.model.instance import Limits

Kill = Callable[[], Awaitable[None]]


class Attendant(Protocol):
    """Has what a task reads from and prints to. `inside`: its stdin, stdout and stderr, as a child is given them."""

    inside: tuple[int, int, int]

    def started(self) -> None:
        """The task has its own ends now, or never will: close them here."""
        ...

    async def attend(self, process: Process, kill: Kill) -> str:
        """Until the end: "", or the limit that was hit. `kill` ends all of the task, for sure. Cancelled, it kills."""
        ...

    def close(self) -> None:
        """Let go of everything. Safe to repeat."""
        ...


class Listener:
    """Passes on what a task prints, line by line; it has nothing to read."""

    def __init__(self, limits: Limits, on_line: Callable[[str], None]) -> None:
        self._limits = limits
        self._meter = _Meter(on_line, limits.output_mb << 20)
        reader, self._writer = os.pipe()
        self._reader = os.fdopen(reader, "rb", buffering=0)
        self.inside = (DEVNULL, self._writer, STDOUT)

    def started(self) -> None:
        """The task has its own end of the pipe."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def close(self) -> None:
        """Let go of the pipe."""
        self.started()
        self._reader.close()

    async def attend(self, process: Process, kill: Kill) -> str:
        """Until the end: "", or the limit that was hit ("seconds", "output")."""
        meter = self._meter
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), self._reader
        )
        reading = asyncio.create_task(command.each_line(stream, meter.give))
        ended, full = asyncio.create_task(process.wait()), asyncio.create_task(meter.full.wait())
        limit = ""
        try:
            async with asyncio.timeout(self._limits.seconds or None):
                await asyncio.wait((ended, full), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            limit = "seconds"
        finally:
            full.cancel()
            await asyncio.shield(kill())
            await asyncio.shield(asyncio.gather(ended, reading))
            transport.close()
        return "output" if meter.full.is_set() else limit


class _Meter:
    """Passes lines on until `limit` bytes (0: no limit) have come."""

    def __init__(self, on_line: Callable[[str], None], limit: int) -> None:
        self._on_line = on_line
        self._limit = limit
        self._count = 0
        self.full = asyncio.Event()

    def give(self, line: str) -> None:
        self._count += len(line) + 1
        if self._limit and self._count > self._limit:
            self.full.set()
        if not self.full.is_set():
            self._on_line(line)
