"""The body of a git request as it comes in: inflated, of limited size, and never waited for without end."""

import asyncio
import contextlib
import time
import zlib
from collections.abc import AsyncIterator, Callable

from fastapi import Request
from starlette.requests import ClientDisconnect

from hostd.errors import Invalid, LimitExceeded

SILENCE = 60.0  # seconds between two pieces of a body
PATIENCE = 30.0  # seconds that a body is waited for, however slowly it comes
SLOWEST = 1024  # bytes a second, in the mean, after that
PIECE = 256 * 1024  # bytes that are inflated at once: a gzip bomb holds a thousand times what it is


class Body:
    """One request's body of at most `limit` bytes, inflated if it is gzipped."""

    def __init__(self, request: Request, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._arriving = _arriving(request, clock)
        self._gzipped = request.headers.get("content-encoding") in ("gzip", "x-gzip")
        self._limit = limit

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it, as it comes.

        Raises Invalid for broken gzip and a client that stops sending or sends too slowly, LimitExceeded past the
        limit.
        """
        total = 0
        async for piece in _inflated(self._arriving) if self._gzipped else self._arriving:
            total += len(piece)
            if total > self._limit:
                raise LimitExceeded(f"the request is larger than {self._limit // 1024 // 1024} MiB")
            yield piece

    async def drop(self) -> None:
        """Read what is left and forget it: a client that still sends does not read why it was refused."""
        with contextlib.suppress(Invalid):
            async for _ in self._arriving:
                pass


async def _arriving(request: Request, clock: Callable[[], float]) -> AsyncIterator[bytes]:
    pieces, came, waited = request.stream(), 0, 0.0
    while True:
        start = clock()
        try:
            async with asyncio.timeout(SILENCE):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise Invalid(f"nothing came for {SILENCE:.0f} s") from error
        except ClientDisconnect as error:
            raise Invalid("the client hung up") from error
        came, waited = came + len(piece), waited + clock() - start  # not the time that git takes to read it
        if waited > PATIENCE and came < waited * SLOWEST:
            raise Invalid(f"the request comes more slowly than {SLOWEST} bytes a second")
        yield piece


async def _inflated(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    inflating = zlib.decompressobj(31)  # 31: with the head and tail of gzip
    async for piece in pieces:
        inflated = None
        while inflated is None or piece or len(inflated) == PIECE:
            try:
                inflated = inflating.decompress(piece, PIECE)
            except zlib.error as error:
                raise Invalid("bad gzip in the request") from error
            if inflating.unused_data:
                raise Invalid("unexpected data after the gzipped request")
            piece = inflating.unconsumed_tail
            yield inflated
    if not inflating.eof:
        raise Invalid("the gzipped request is cut off")
