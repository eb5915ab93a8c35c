"""When a web Instance counts as healthy, and what is said when it does not get there."""

import asyncio
import contextlib
import socket

import pytest

from hostd.engine.health import BODY_LIMIT, EXCERPT, wait_until_healthy
from hostd.errors import RolloutFailed
from hostd.model.health import HealthCheck
from hostd.model.instance import Endpoint, Instance
from tests.fakes import FakeEngine, instance_spec


async def failure(
    engine: FakeEngine, instance: Instance, limit: float = 0.3, path: str = "/", expect: str = ""
) -> RolloutFailed:
    with pytest.raises(RolloutFailed) as caught:
        await wait_until_healthy(engine, instance, HealthCheck(path, expect, limit))
    await engine.remove()
    return caught.value


@pytest.mark.parametrize("status", [200, 301, 400, 401, 404])
async def test_every_answer_below_500_is_healthy(status: int) -> None:
    engine = FakeEngine()
    instance = await engine.start(instance_spec((f"serve {status}",)))
    await wait_until_healthy(engine, instance, HealthCheck(timeout_seconds=5))
    await engine.remove()


async def test_an_error_of_the_server_is_named() -> None:
    engine = FakeEngine()
    told = await failure(engine, await engine.start(instance_spec(("serve 503",))), path="/up")
    assert told.message == "web answers 503 on /up after 0.3 s; its answer begins: v1"


async def test_one_that_exits_before_it_listens_is_told_at_once() -> None:
    engine = FakeEngine()
    instance = await engine.start(instance_spec(("sleep 0.05; exit 3",)))
    async with asyncio.timeout(5):
        told = await failure(engine, instance, limit=60)
    assert told.message == "web exited with status 3 before it listened"


async def test_one_that_listens_elsewhere_is_told_where() -> None:
    engine = FakeEngine()
    there = await engine.start(instance_spec(("serve 200",)))
    instance = Instance(there.spec, Endpoint("127.0.0.1", 1), there.started_at)
    told = await failure(engine, instance)
    assert told.message == (
        "web did not listen on port 1 within 0.3 s (connection refused); it listens on 0.0.0.0:1"
    )
    assert told.hint == "listen on 0.0.0.0:$PORT instead of 0.0.0.0:1"


async def test_one_that_listens_nowhere_is_told_so() -> None:
    engine = FakeEngine()
    told = await failure(engine, await engine.start(instance_spec(("sleep 60",))))
    assert (
        told.message
        == "web did not listen on port 1 within 0.3 s (connection refused); it listens on nothing"
    )


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"", "web closes the connection without an answer on / after 0.3 s"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "web does not speak HTTP on / after 0.3 s"),
        (b"x" * 100_000, "web does not speak HTTP on / after 0.3 s"),
    ],
)
async def test_what_is_no_http_is_told_so(said: bytes, message: str) -> None:
    told = await answered(said)
    assert told
    assert told.message == message


async def answered(*pieces: bytes, expect: str = "", limit: float = 0.3) -> RolloutFailed | None:
    """What becomes of an Instance that answers with these pieces; None: it is healthy."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):  # the last look is given up
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if not pieces:
                await reader.read()
        writer.close()

    engine = FakeEngine()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    there = await engine.start(instance_spec(("sleep 60",)))
    endpoint = Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        await wait_until_healthy(engine, Instance(there.spec, endpoint, 0.0), HealthCheck("/", expect, limit))
    except RolloutFailed as error:
        return error
    finally:
        server.close()
        await engine.remove()
    return None


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\n\r\n all is ", b"well "),
        (CHUNKED, b"7\r\nall is \r\n", b"4\r\nwell\r\n0\r\n\r\n"),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 11\r\n\r\n", b"all is well"),
        (b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall is well",),
    ],
)
async def test_the_expected_text_is_found_however_it_is_sent(pieces: tuple[bytes, ...]) -> None:
    assert await answered(*pieces, expect="all is well", limit=5) is None


async def test_an_answer_without_the_expected_text_is_told_with_its_beginning() -> None:
    told = await answered(b"HTTP/1.1 200 OK\r\n\r\n<h1>\x1b[2J\xff\n  starting</h1>", expect="well")
    assert told
    assert told.message == (
        "web answers without 'well' on / after 0.3 s; its answer begins: <h1>[2J\N{REPLACEMENT CHARACTER} starting</h1>"
    )


async def test_the_expected_text_is_looked_for_in_the_beginning_of_an_endless_answer() -> None:
    told = await answered(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * BODY_LIMIT, b"well", expect="well")
    assert told
    assert told.message.endswith("x" * EXCERPT)


async def test_one_that_takes_the_connection_and_is_silent_is_told_so() -> None:
    told = await answered()
    assert told
    assert told.message == "web gives no answer on / after 0.3 s"


async def test_one_that_listens_for_itself_alone_is_told_the_classic_mistake() -> None:
    engine = FakeEngine()
    there = await engine.start(instance_spec(("serve 200",)))
    with socket.socket() as refusing:  # bound, so that nobody else gets the port, but it does not listen
        refusing.bind(("127.0.0.1", 0))
        port = refusing.getsockname()[1]
        engine.listening = lambda _: [f"127.0.0.1:{port}"]  # type: ignore[assignment,method-assign]
        told = await failure(engine, Instance(there.spec, Endpoint("127.0.0.1", port), there.started_at))
    assert told.hint == "listen on 0.0.0.0 instead of 127.0.0.1"


async def test_the_host_is_the_one_the_app_expects() -> None:
    heard = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    engine = FakeEngine()
    there = await engine.start(instance_spec(("sleep 60",)))
    endpoint = Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
    await wait_until_healthy(engine, Instance(there.spec, endpoint, 0.0), HealthCheck("/up"), "shop.example")
    server.close()
    await engine.remove()
    assert (await heard).startswith(b"GET /up HTTP/1.1\r\nHost: shop.example\r\n")
