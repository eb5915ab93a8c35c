"""The access log: datagrams from nginx's workers (records.lua), as RequestRecords for whoever asks."""

import asyncio
import contextlib
import logging
import os
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from hostd.model.log import RequestRecord

QUEUE_LIMIT = 10_000  # records that one reader may lag behind; more are dropped and said so in the log
DATAGRAM_LIMIT = 65536
PATH_LIMIT = 2048
log = logging.getLogger(__name__)


def parse(datagram: bytes) -> Iterator[RequestRecord]:
    """The records of a datagram; a line that is not one is skipped."""
    for line in datagram.decode(errors="replace").split("\n"):
        fields = line.split("\t")
        with contextlib.suppress(ValueError):
            yield _record(fields)


class RecordReader:
    """Owns the socket that the workers send to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._readers: set[asyncio.Queue[RequestRecord]] = set()

    def open(self, owner: str | None) -> None:
        """Listen. Only hostd and the user `owner`, as whom the workers run, may send."""
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(self._path))
        self._path.chmod(0o600)
        if owner:
            shutil.chown(self._path, owner)
        asyncio.get_running_loop().add_reader(self._socket, self._read, self._socket)

    def close(self) -> None:
        """Stop listening; the workers keep their latest records until somebody listens again."""
        if self._socket:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._path.unlink(missing_ok=True)
            self._socket = None

    def requests(self) -> AsyncIterator[RequestRecord]:
        """Every request from now on, for ever."""
        queue: asyncio.Queue[RequestRecord] = asyncio.Queue(QUEUE_LIMIT)
        self._readers.add(queue)
        return self._each(queue)

    async def _each(self, queue: asyncio.Queue[RequestRecord]) -> AsyncIterator[RequestRecord]:
        try:
            while True:
                yield await queue.get()
        finally:
            self._readers.discard(queue)

    def _read(self, source: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            datagram = os.read(source.fileno(), DATAGRAM_LIMIT)
            if self._readers:
                for record in parse(datagram):
                    self._give(record)

    def _give(self, record: RequestRecord) -> None:
        for queue in self._readers:
            try:
                queue.put_nowait(record)
            except asyncio.QueueFull:
                log.warning("a reader of the access log lags behind: L10 dropped=1")


def _record(fields: list[str]) -> RequestRecord:
    """`fields` in the order of records.lua and of $record in nginx.conf; the time there is that of the end."""
    (
        code,
        app,
        environment,
        release,
        ended,
        seconds,
        host,
        method,
        status,
        sent,
        endpoint,
        request_id,
        path,
    ) = fields
    return RequestRecord(
        at=round(float(ended) - float(seconds), 3),
        host=host,
        app=app,
        environment=environment,
        release=release,
        method=method,
        path=path[:PATH_LIMIT],
        status=int(status),
        sent=int(sent),
        seconds=float(seconds),
        endpoint=endpoint,
        code=code,
        request_id=request_id,
    )
