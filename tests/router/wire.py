"""HTTP/1.1 as bytes: a client that sends exactly what a test says, and backends that answer exactly so."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hostd.model.instance import Endpoint

Handler: TypeAlias = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Request:
    """What a backend got. `fields` keeps order and repetition; `reader` has what follows a body that was not read."""

    line: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    reader: asyncio.StreamReader

    def field(self, name: str) -> str | None:
        found = [value for key, value in self.fields if key.lower() == name.lower()]
        assert len(found) < 2, found
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@contextlib.asynccontextmanager
async def backend(handler: Handler, *, read_body: bool = True) -> AsyncIterator[Endpoint]:
    """A server on a free port of 127.0.0.1; connections are kept alive."""

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        serving.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                await handler(await _request(reader, read_body=read_body), writer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)


def answer(text: str, *fields: str) -> bytes:
    """A 200 with `text`."""
    head = "".join(f"{field}\r\n" for field in fields)
    return f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(text)}\r\n\r\n{text}".encode()


def says(text: str) -> Handler:
    """A handler that always answers `text`."""

    async def handle(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(text))

    return handle


async def get(port: int, host: str, target: str = "/", *fields: str, method: str = "GET") -> Answer:
    """One request on a connection of its own."""
    head = "".join(f"{field}\r\n" for field in fields)
    return await send(
        port, f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{head}Connection: close\r\n\r\n".encode()
    )


async def send(port: int, data: bytes) -> Answer:
    """Send bytes and read what comes back until the end."""
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        got = b""
        with contextlib.suppress(ConnectionResetError):  # the end of a refusal that did not read all we sent
            while piece := await reader.read(65536):
                got += piece
        writer.close()
    return parse(got)


def parse(data: bytes) -> Answer:
    """An Answer from the bytes of one; the body as it came, chunked or not."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split(" ")[1]) if first else 0, headers, body)


async def _request(reader: asyncio.StreamReader, *, read_body: bool) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.removesuffix("\r\n\r\n").split("\r\n")
    fields = tuple((name, value) for name, _, value in (field.partition(": ") for field in rest))
    sizes = [int(value) for name, value in fields if name.lower() == "content-length"]
    chunked = any(name.lower() == "transfer-encoding" for name, _ in fields)
    body = b""
    if read_body and chunked:
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    elif read_body and sizes:
        body = await reader.readexactly(sizes[0])
    return Request(line, fields, body, reader)
