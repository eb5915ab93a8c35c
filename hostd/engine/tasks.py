"""Looks after a task in its sandbox until it ends or hits a limit, and passes its output on."""

import asyncio
import os
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable

from hostd import command
from hostd.model.instance import Limits


async def attend(
    process: Process,
    reader: int,
    limits: Limits,
    on_line: Callable[[str], None],
    kill: Callable[[], Awaitable[None]],
) -> str:
    """Until the end: "", or the limit that was hit ("seconds", "output"). `kill` ends all of the task, for sure.

    `reader` is the end of a pipe that takes its output; it is closed. Cancelled, it kills first.
    """
    meter = _Meter(on_line, limits.output_mb << 20)
    stream, transport = await _open_stream(reader)
    reading = asyncio.create_task(command.each_line(stream, meter.give))
    ended, full = asyncio.create_task(process.wait()), asyncio.create_task(meter.full.wait())
    limit = ""
    try:
        async with asyncio.timeout(limits.seconds or None):
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


async def _open_stream(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    loop = asyncio.get_running_loop()
    stream = asyncio.StreamReader()
    file = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), file)
    return stream, transport
