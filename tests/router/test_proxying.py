"""What an app and its clients see of each other through the router."""

import asyncio
import re

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from hostd.model.instance import Endpoint
from hostd.model.route import Route, ToInstances
from hostd.router.nginx import NginxRouter
from tests.router.conftest import to, until_in_flight
from tests.router.wire import Request, answer, backend, get, says, send

pytestmark = pytest.mark.router


async def test_the_app_gets_the_path_and_query_as_the_client_wrote_them(
    router: NginxRouter, port: int
) -> None:
    async def echo(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(request.line))

    async with backend(echo) as endpoint:
        await router.publish([to(endpoint)])
        for target in ("/a%2fb//c/../d?x=%20&y", "/%41;p=1", "/%e4%f6", "/a+b?"):
            got = await get(port, "shop.localhost", target)
            assert got.body.decode("latin-1") == f"GET {target} HTTP/1.1"


async def test_forwarding_headers_are_ours_whatever_the_client_says(router: NginxRouter, port: int) -> None:
    seen: list[Request] = []

    async def keep(request: Request, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(answer("ok"))

    async with backend(keep) as endpoint:
        await router.publish([to(endpoint)])
        await get(
            port,
            f"shop.localhost:{port}",
            "/",
            "X-Forwarded-For: 6.6.6.6",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Port: 1",
            "X-Forwarded-Host: evil",
            "X-Forwarded-Ssl: on",
            "X-Real-IP: 6.6.6.6",
            "Forwarded: for=6.6.6.6",
            "X-Request-Id: mine",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "TE: trailers",
            "Proxy: http://evil",
            "Upgrade: h2c",
            "X_Forwarded_For: 6.6.6.6",
            "Cookie: a=b",
        )
    fields = {name.lower(): value for name, value in seen[0].fields}
    assert re.fullmatch(r"[0-9a-f]{32}", fields.pop("x-request-id"))
    assert re.fullmatch(r"t=\d+\.\d{3}", fields.pop("x-request-start"))
    assert fields == {
        "host": f"shop.localhost:{port}",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-host": f"shop.localhost:{port}",
        "x-forwarded-port": str(port),
        "x-forwarded-proto": "http",
        "x-real-ip": "127.0.0.1",
        "cookie": "a=b",
    }


async def test_connections_to_the_app_are_kept_alive(router: NginxRouter, port: int) -> None:
    connections: set[int] = set()

    async def count(_: Request, writer: asyncio.StreamWriter) -> None:
        connections.add(id(writer))
        writer.write(answer("ok"))

    async with backend(count) as endpoint:
        await router.publish([to(endpoint)])
        one = b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n"
        last = b"GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n"
        got = await send(port, one * 20 + last)
        assert got.body.count(b"200 OK") == 20
    assert len(connections) == 1


async def test_an_answer_is_passed_on_as_the_app_gave_it(router: NginxRouter, port: int) -> None:
    async def handle(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 502 My Own\r\nServer: app/1\r\nContent-Type: text/css\r\nSet-Cookie: a=1\r\n"
            b"Set-Cookie: b=2\r\nX-Accel-Redirect: @hostd\r\nX-Hostd-Error: H99\r\nContent-Length: 4000\r\n\r\n"
            + b"x"
            * 4000
        )

    async with backend(handle) as endpoint:
        await router.publish([to(endpoint)])
        got = await get(port, "shop.localhost", "/", "Accept-Encoding: gzip")
    assert got.status == 502 and got.body == b"x" * 4000
    assert got.headers["server"] == "app/1" and got.headers["content-type"] == "text/css"
    assert not {"content-encoding", "x-hostd-error", "x-accel-redirect", "etag"} & set(got.headers)


async def test_an_event_reaches_the_client_as_the_app_writes_it(router: NginxRouter, port: int) -> None:
    go_on = asyncio.Event()

    async def stream(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await writer.drain()
        await go_on.wait()
        writer.write(b"data: 2\n\n")
        writer.close()

    async with backend(stream) as endpoint:
        await router.publish([to(endpoint)])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
        async with asyncio.timeout(2):
            assert (await reader.readuntil(b"data: 1\n\n")).startswith(b"HTTP/1.1 200")
        go_on.set()
        async with asyncio.timeout(2):
            await reader.readuntil(b"data: 2\n\n")
        writer.close()


async def test_an_upload_reaches_the_app_while_it_is_being_sent(router: NginxRouter, port: int) -> None:
    arrived = asyncio.Event()

    async def take(request: Request, writer: asyncio.StreamWriter) -> None:
        assert await request.reader.readexactly(5) == b"first"
        arrived.set()
        rest = await request.reader.readexactly(20_000_000)
        writer.write(answer(str(len(rest))))

    async with backend(take, read_body=False) as endpoint:
        await router.publish([to(endpoint)])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PUT / HTTP/1.1\r\nHost: shop.localhost\r\nContent-Length: 20000005\r\n\r\nfirst")
        async with asyncio.timeout(5):
            await arrived.wait()
        writer.write(b"x" * 20_000_000)
        async with asyncio.timeout(20):
            assert b"\r\n\r\n20000000" in await reader.readuntil(b"20000000")
        writer.close()


async def test_a_chunked_upload_arrives_whole_and_without_its_trailers(
    router: NginxRouter, port: int
) -> None:
    async def echo(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(f"{request.body.decode()} {request.field('X-Trailer')}"))

    async with backend(echo) as endpoint:
        await router.publish([to(endpoint)])
        got = await send(
            port,
            b"POST / HTTP/1.1\r\nHost: shop.localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n",
        )
    assert got.body == b"abcde None"


async def test_a_websocket_carries_messages_both_ways_and_counts_as_in_flight(
    router: NginxRouter, port: int
) -> None:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        endpoint = Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
        await router.publish([to(endpoint)])
        async with connect("ws://shop.localhost/", host="127.0.0.1", port=port) as client:
            for message in ("one", "two" * 50_000, b"\x00three"):
                await client.send(message)
                assert await client.recv() == message
            assert await router.in_flight([endpoint]) == 1
        await until_in_flight(router, endpoint, 0)


async def test_the_instance_with_the_fewest_requests_under_way_gets_the_next(
    router: NginxRouter, port: int
) -> None:
    held = asyncio.Event()

    async def hold(_: Request, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.write(answer("slow"))

    async with backend(hold) as slow, backend(says("fast")) as fast:
        await router.publish([to(slow)])
        waiting = [asyncio.create_task(get(port, "shop.localhost")) for _ in range(4)]
        await until_in_flight(router, slow, 4)
        await router.publish([to(slow, fast)])
        assert {(await get(port, "shop.localhost")).body for _ in range(20)} == {b"fast"}
        held.set()
        assert {(await task).body for task in waiting} == {b"slow"}
        assert await router.in_flight([slow, fast]) == 0


async def test_requests_spread_over_idle_instances(router: NginxRouter, port: int) -> None:
    async with backend(says("a")) as one, backend(says("b")) as two:
        await router.publish([to(one, two)])
        bodies = [(await get(port, "shop.localhost")).body for _ in range(40)]
        assert bodies.count(b"a") >= 8 and bodies.count(b"b") >= 8


async def test_after_publish_returns_every_request_on_old_connections_follows(
    router: NginxRouter, port: int
) -> None:
    async with backend(says("old")) as old, backend(says("new")) as new:
        await router.publish([to(old)])
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
        for round_ in range(20):
            endpoint, text = ((old, b"old"), (new, b"new"))[round_ % 2]
            await router.publish([to(endpoint)])
            for reader, writer in clients:
                writer.write(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
                assert await reader.readexactly(3) == text
        for _, writer in clients:
            writer.close()


async def test_the_router_speaks_to_hostd_on_its_own_host_only(router: NginxRouter, port: int) -> None:
    assert (await get(port, "hostd.localhost")).status == 404


async def test_two_hosts_may_have_one_app(router: NginxRouter, port: int) -> None:
    async with backend(says("hello")) as endpoint:
        names = ("shop.localhost", "www.example.com")
        await router.publish([Route(name, ToInstances((endpoint,)), "shop", "v1") for name in names])
        assert [(await get(port, name)).body for name in names] == [b"hello", b"hello"]
