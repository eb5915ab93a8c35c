"""Where the router asks hostd to wake an app: a unix socket, a line with the host in, "ok" or the code of a page out.

wake.lua holds the request meanwhile, not a worker. If hostd is not there the connection is refused at once.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

LINE_LIMIT = 300  # bytes
Wake = Callable[[str], Awaitable[str]]


class WakeSocket:
    """Owns the socket. `wake` is called for each request that waits; it gives the answer's line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: asyncio.Server | None = None

    async def open(self, wake: Wake, owner: str | None) -> None:
        """Listen; only the user `owner`, as whom the workers run, may connect."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                with contextlib.suppress(OSError, ValueError):  # ValueError: a line that is too long
                    host = (await reader.readline()).decode(errors="replace").strip()
                    writer.write((await wake(host)).encode() + b"\n")
                    await writer.drain()
            finally:
                writer.close()  # also where waking failed: the request must not wait for an answer

        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(answer, self._path, limit=LINE_LIMIT, backlog=4096)
        self._path.chmod(0o600)
        if owner:
            shutil.chown(self._path, owner)

    async def close(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.close()
            self._path.unlink(missing_ok=True)
            self._server = None
