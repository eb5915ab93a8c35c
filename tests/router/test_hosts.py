"""Hosts and requests that try to be more than one thing (faults.md: attacks A28-A31, bad inputs 59-69)."""

import asyncio

import pytest

from hostd.router.nginx import NginxRouter
from tests.router.conftest import to
from tests.router.wire import Request, answer, backend, get, says, send

pytestmark = pytest.mark.router

END = "Connection: close\r\n\r\n"


@pytest.mark.parametrize(
    "host", ["a.localhost", "A.LocalHost", "a.localhost.", "a.localhost:80", "a.localhost.:65535"]
)
async def test_a_host_is_known_in_any_case_with_a_port_or_a_final_dot(
    router: NginxRouter, port: int, host: str
) -> None:
    async with backend(says("a")) as endpoint:
        await router.publish([to(endpoint, host="a.localhost")])
        assert (await get(port, host)).body == b"a"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a.localhost:",
        "a.localhost:99999",
        "a.localhost:80x",
        "a.localhost:80@b.localhost",
        "b@a.localhost",
        "a.localhost#b",
        "a.localhost/b",
        "a.localhost?b",
        "a.localhost b",
        "a.localhost,b.localhost",
        "a.localhost:80:80",
        "a.localhost\x00",
        "ä.localhost",
        "[::1]:80",
        "..",
        ".",
        "a..localhost",
        "a" * 300,
    ],
)
async def test_a_host_that_is_none_is_refused(router: NginxRouter, port: int, host: str) -> None:
    async with backend(says("a")) as endpoint:
        await router.publish([to(endpoint, host="a.localhost")])
        got = await send(port, f"GET / HTTP/1.1\r\nHost: {host}\r\n{END}".encode())
    assert got.status == 400


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (f"GET / HTTP/1.1\r\n{END}", 400),
        (f"GET / HTTP/1.1\r\nHost: a.localhost\r\nHost: b.localhost\r\n{END}", 400),
        (f"GET / HTTP/1.1\r\nHost: a.localhost\r\nHost: a.localhost\r\n{END}", 400),
        (f"GET http://b.localhost/ HTTP/1.1\r\nHost: a.localhost\r\n{END}", 400),
        (f"GET http://a.localhost/ HTTP/1.1\r\nHost: a.localhost\r\n{END}", 200),
        (
            f"GET / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n{END}",
            400,
        ),
        (f"GET / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n{END}", 400),
        (f"GET / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: -1\r\n{END}", 400),
        (f"GET / HTTP/1.1\r\nHost: a.localhost\r\nTransfer-Encoding: xchunked\r\n{END}", 501),
        (f"GET / HTTP/1.1\r\nHost : a.localhost\r\n{END}", 400),
        (f"GET / HTTP/1.1\r\nHost: a.localhost\r\nX-A: b\x00c\r\n{END}", 400),
        (f"GET /%00 HTTP/1.1\r\nHost: a.localhost\r\n{END}", 400),
        (f"GET /%zz HTTP/1.1\r\nHost: a.localhost\r\n{END}", 400),
        (f"GET /a b HTTP/1.1\r\nHost: a.localhost\r\n{END}", 400),
        (f"TRACE / HTTP/1.1\r\nHost: a.localhost\r\n{END}", 405),
        (f"CONNECT b.localhost:443 HTTP/1.1\r\nHost: b.localhost\r\n{END}", 400),
        (f"CONNECT / HTTP/1.1\r\nHost: b.localhost\r\n{END}", 405),
        (f"GET /{'x' * 9000} HTTP/1.1\r\nHost: a.localhost\r\n{END}", 414),
        (f"GET / HTTP/1.1\r\nHost: a.localhost\r\nX-Long: {'x' * 9000}\r\n{END}", 431),
        ("GET / HTTP/1.1\r\nHost: a.localhost\r\n" + f"X-Long: {'x' * 4000}\r\n" * 10 + END, 431),
        (f"BREW / HTTP/1.1\r\nHost: a.localhost\r\n{END}", 200),
    ],
)
async def test_a_doubtful_request_is_refused_and_the_app_does_not_see_it(
    router: NginxRouter, port: int, request_text: str, status: int
) -> None:
    seen: list[Request] = []

    async def keep(request: Request, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(answer("a"))

    async with backend(keep) as endpoint:
        await router.publish([to(endpoint, host=name) for name in ("a.localhost", "b.localhost")])
        got = await send(port, request_text.encode())
    assert got.status == status
    assert len(seen) == (status == 200)


async def test_bare_line_feeds_and_a_smuggled_request_are_one_clean_request_to_the_app(
    router: NginxRouter, port: int
) -> None:
    seen: list[Request] = []

    async def keep(request: Request, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(answer("a"))

    async with backend(keep) as endpoint:
        await router.publish([to(endpoint, host="a.localhost")])
        await send(port, b"GET /1 HTTP/1.1\nHost: a.localhost\nX-A: 1\nConnection: close\n\n")
        await send(
            port,
            b"POST /2 HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 30\r\nConnection: close\r\n\r\n"
            b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n..",
        )
    assert [request.line for request in seen] == ["GET /1 HTTP/1.1", "POST /2 HTTP/1.1"]
    assert seen[0].field("X-A") == "1"
