"""Telling a forge, whatever it answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hostd.forges import reporting
from hostd.forges.base import Call

HEAD = b"HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\n\r\n"


@asynccontextmanager
async def answering(*pieces: bytes, pause: float = 0.0) -> AsyncIterator[tuple[Call, list[int]]]:
    """A Call to a forge that sends the pieces, the last of them for ever; how many bytes it got rid of."""
    sent: list[int] = []
    gone = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        left = list(pieces)
        try:
            while True:
                piece = left.pop(0) if len(left) > 1 else left[0]
                writer.write(piece)
                await writer.drain()
                sent.append(len(piece))
                await asyncio.sleep(pause)
        except ConnectionError:
            pass
        finally:
            writer.close()
            gone.set()

    server = await asyncio.start_server(answer, "127.0.0.1")
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Call(f"http://127.0.0.1:{port}/api", {"Authorization": "token x"}, {"state": "success"}), sent
        await gone.wait()


async def test_an_answer_without_an_end_is_not_read() -> None:
    async with answering(HEAD, b"x" * 65536) as (call, sent), asyncio.timeout(5):
        assert await reporting.send(call, private=True) == ""
    assert sum(sent) < 8 * 1024 * 1024


async def test_an_answer_that_never_begins_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "PATIENCE", 0.3)
    monkeypatch.setattr(reporting, "WAITS", ())
    async with (
        answering(b"HTTP/1.1 201 Created\r\n", b"X: y\r\n", pause=0.1) as (call, _),
        asyncio.timeout(5),
    ):
        assert (await reporting.send(call, private=True)).startswith("127.0.0.1 was not told: TimeoutError")
