"""When a web Instance counts as healthy, and what is said when it does not get there."""

import asyncio

import pytest

from hostd.engine.health import wait_until_healthy
from hostd.errors import RolloutFailed
from hostd.model.instance import Endpoint, Instance
from tests.fakes import FakeEngine, instance_spec


async def failure(
    engine: FakeEngine, instance: Instance, limit: float = 0.3, path: str = "/"
) -> RolloutFailed:
    with pytest.raises(RolloutFailed) as caught:
        await wait_until_healthy(engine, instance, path, limit)
    await engine.remove()
    return caught.value


@pytest.mark.parametrize("status", [200, 301, 400, 401, 404])
async def test_every_answer_below_500_is_healthy(status: int) -> None:
    engine = FakeEngine()
    instance = await engine.start(instance_spec((f"serve {status}",)))
    await wait_until_healthy(engine, instance, timeout=5)
    await engine.remove()


async def test_an_error_of_the_server_is_named() -> None:
    engine = FakeEngine()
    told = await failure(engine, await engine.start(instance_spec(("serve 503",))), path="/up")
    assert told.message == "web answers 503 on /up after 0.3 s"


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
    assert told.message.startswith("web did not listen on port 1 within 0.3 s; it listens on 0.0.0.0:1")
    assert told.hint == "listen on 0.0.0.0 and on the port in $PORT"


async def test_one_that_listens_nowhere_is_told_so() -> None:
    engine = FakeEngine()
    told = await failure(engine, await engine.start(instance_spec(("sleep 60",))))
    assert told.message == "web did not listen on port 1 within 0.3 s; it listens on nothing"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "web does not speak HTTP on / after 0.3 s"),
        (b"x" * 100_000, "web breaks the connection on / after 0.3 s"),
    ],
)
async def test_what_is_no_http_is_told_so(said: bytes, message: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    engine = FakeEngine()
    there = await engine.start(instance_spec(("sleep 60",)))
    port = server.sockets[0].getsockname()[1]
    told = await failure(engine, Instance(there.spec, Endpoint("127.0.0.1", port), there.started_at))
    server.close()
    assert told.message == message


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
    await wait_until_healthy(engine, Instance(there.spec, endpoint, 0.0), "/up", 5, "shop.example")
    server.close()
    await engine.remove()
    assert (await heard).startswith(b"GET /up HTTP/1.1\r\nHost: shop.example\r\n")
