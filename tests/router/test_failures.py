"""What a client is told, and what is logged, when an app does not answer as it should."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from hostd.model.instance import Endpoint
from hostd.model.log import RequestRecord
from hostd.model.route import Route, ToError, ToInstances
from hostd.router.nginx import NginxRouter
from tests.router.conftest import to, until_in_flight
from tests.router.wire import Request, answer, backend, get, says, send

pytestmark = pytest.mark.router


@contextlib.asynccontextmanager
async def next_record(router: NginxRouter) -> AsyncIterator["asyncio.Task[RequestRecord]"]:
    """The record of the first request that is made inside."""
    records = router.requests()

    async def first() -> RequestRecord:
        async for record in records:
            return record
        raise AssertionError

    task = asyncio.create_task(first())
    async with asyncio.timeout(10):
        yield task
        await task


def nobody() -> Endpoint:
    """An endpoint that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Endpoint("127.0.0.1", probe.getsockname()[1])


async def test_an_unknown_host_is_told_so_without_its_name(router: NginxRouter, port: int) -> None:
    got = await get(port, "nosuch.localhost")
    assert got.status == 404 and got.headers["x-hostd-error"] == "H81"
    assert b"nosuch" not in got.body


@pytest.mark.parametrize(
    ("code", "status"), [("H10", 503), ("H14", 503), ("H80", 503), ("H81", 404), ("H99", 503)]
)
async def test_a_route_to_an_error_answers_with_its_page_and_code(
    router: NginxRouter, port: int, code: str, status: int
) -> None:
    await router.publish([Route("shop.localhost", ToError(code), "shop", "v3")])
    async with next_record(router) as record:
        got = await get(port, "shop.localhost", "/x", method="POST")
    assert got.status == status and got.headers["x-hostd-error"] == code
    assert code.encode() in got.body and len(got.body) == int(got.headers["content-length"])
    assert (record.result().code, record.result().app, record.result().release) == (code, "shop", "v3")
    assert record.result().request_id.encode() in got.body


async def test_a_refused_connection_is_h21(router: NginxRouter, port: int) -> None:
    endpoint = nobody()
    await router.publish([to(endpoint)])
    async with next_record(router) as record:
        got = await get(port, "shop.localhost")
    assert got.status == 503 and got.headers["x-hostd-error"] == "H21" and got.headers["retry-after"] == "5"
    assert (record.result().code, record.result().endpoint) == ("H21", str(endpoint))
    assert await router.in_flight([endpoint]) == 0


async def test_another_instance_gets_a_request_that_one_refused(router: NginxRouter, port: int) -> None:
    dead = nobody()

    async def echo(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(request.body.decode()))

    async with backend(echo) as alive:
        await router.publish([to(dead, alive)])
        for _ in range(10):
            got = await send(
                port,
                b"POST / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
            )
            assert (got.status, got.body) == (200, b"hi")
        assert await router.in_flight([dead, alive]) == 0


async def test_an_app_that_closes_without_an_answer_is_h13_and_is_not_asked_again(
    router: NginxRouter, port: int
) -> None:
    seen: list[str] = []

    async def close(request: Request, writer: asyncio.StreamWriter) -> None:
        seen.append(request.line)
        writer.close()

    async with backend(close) as one, backend(close) as two:
        await router.publish([to(one, two)])
        for method in ("GET", "POST"):
            got = await get(port, "shop.localhost", "/", "Content-Length: 0", method=method)
            assert got.status == 502 and got.headers["x-hostd-error"] == "H13"
        assert seen == ["GET / HTTP/1.1", "POST / HTTP/1.1"]
        assert await router.in_flight([one, two]) == 0


async def test_an_answer_whose_head_is_not_http_or_too_large_is_h17(router: NginxRouter, port: int) -> None:
    async def babble(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n")

    async with backend(babble) as endpoint:
        await router.publish([to(endpoint)])
        got = await get(port, "shop.localhost")
    assert got.status == 502 and got.headers["x-hostd-error"] == "H17"


async def test_no_first_byte_in_time_is_h12(router: NginxRouter, port: int) -> None:
    never = asyncio.Event()

    async def hang(_: Request, writer: asyncio.StreamWriter) -> None:
        await never.wait()

    async with backend(hang) as endpoint:
        await router.publish([to(endpoint, first_byte=0.3)])
        async with next_record(router) as record:
            got = await get(port, "shop.localhost")
        assert got.status == 504 and got.headers["x-hostd-error"] == "H12"
        assert record.result().code == "H12" and 0.25 < record.result().seconds < 2
        assert await router.in_flight([endpoint]) == 0
        never.set()


async def test_no_connection_in_time_is_h19(router: NginxRouter, port: int) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        endpoint = Endpoint(*full.getsockname())
        fillers = [socket.socket() for _ in range(3)]  # Linux drops SYNs once backlog + 1 wait to be accepted
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex((endpoint.address, endpoint.port))
        await router.publish([to(endpoint)])
        got = await get(port, "shop.localhost")
        for filler in fillers:
            filler.close()
    assert got.status == 503 and got.headers["x-hostd-error"] == "H19"


async def test_an_answer_may_pause_longer_than_the_first_byte_may_take(
    router: NginxRouter, port: int
) -> None:
    async def pause(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await writer.drain()
        await asyncio.sleep(0.8)
        writer.write(b"cd")

    async with backend(pause) as endpoint:
        await router.publish([to(endpoint, first_byte=0.3, idle=5)])
        assert (await get(port, "shop.localhost")).body == b"abcd"


async def test_an_answer_that_stops_half_way_is_h15(router: NginxRouter, port: int) -> None:
    never = asyncio.Event()

    async def stall(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await writer.drain()
        await never.wait()

    async with backend(stall) as endpoint:
        await router.publish([to(endpoint, first_byte=5, idle=0.4)])
        async with next_record(router) as record:
            assert (await get(port, "shop.localhost")).body == b"ab"
        assert record.result().code == "H15"
        never.set()


async def test_an_answer_that_the_app_breaks_off_is_h18(router: NginxRouter, port: int) -> None:
    async def break_off(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        writer.close()

    async with backend(break_off) as endpoint:
        await router.publish([to(endpoint)])
        async with next_record(router) as record:
            assert (await get(port, "shop.localhost")).body == b"ab"
        assert record.result().code == "H18"


async def test_a_client_that_leaves_is_h27_and_the_app_is_told(router: NginxRouter, port: int) -> None:
    left = asyncio.Event()

    async def wait(request: Request, writer: asyncio.StreamWriter) -> None:
        assert await request.reader.read() == b""
        left.set()
        writer.close()

    async with backend(wait) as endpoint:
        await router.publish([to(endpoint)])
        async with next_record(router) as record:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
            await until_in_flight(router, endpoint, 1)
            writer.close()
        async with asyncio.timeout(2):
            await left.wait()
        assert record.result().code == "H27"
        assert await router.in_flight([endpoint]) == 0


async def test_every_request_is_recorded_with_its_app_and_release(router: NginxRouter, port: int) -> None:
    async with backend(says("hello")) as endpoint:
        await router.publish([Route("shop.localhost", ToInstances((endpoint,)), "shop", "v7")])
        async with next_record(router) as record:
            await get(port, "Shop.LOCALHOST.:80", "/path?q=1")
    got = record.result()
    assert (got.host, got.app, got.release, got.method, got.path) == (
        "shop.localhost", "shop", "v7", "GET", "/path?q=1",
    )  # fmt: skip
    assert (got.status, got.endpoint, got.code) == (200, str(endpoint), "")
    assert got.sent > 5 and 0 <= got.seconds < 5
