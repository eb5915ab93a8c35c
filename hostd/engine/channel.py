"""A pipe or a terminal that hostd holds one end of, read and written without ever running ahead of the other side."""

import asyncio
import os
from collections.abc import Callable
from io import FileIO
from typing import Any

_CHUNK = 64 * 1024  # bytes read at once


class Channel:
    """One end of it. Closing twice is no fault."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.file = FileIO(descriptor)  # only to be closed once

    async def read(self) -> bytes:
        """What has come by now, at least one byte; b"" once nobody can write any more."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return os.read(self.file.fileno(), _CHUNK)
            except BlockingIOError:
                await _once(loop.add_reader, loop.remove_reader, self.file.fileno())
            except OSError:  # EIO: nobody has the terminal open any more
                return b""

    async def write(self, data: bytes) -> bool:
        """All of `data`, as fast as it is read. False if nobody reads it any more."""
        loop, left = asyncio.get_running_loop(), memoryview(data)
        while left:
            try:
                left = left[os.write(self.file.fileno(), left) :]
            except BlockingIOError:
                await _once(loop.add_writer, loop.remove_writer, self.file.fileno())
            except OSError:
                return False
        return True

    def close(self) -> None:
        """Let go of it."""
        self.file.close()


async def _once(add: Callable[..., Any], remove: Callable[[int], Any], descriptor: int) -> None:
    ready = asyncio.Event()
    add(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        remove(descriptor)
