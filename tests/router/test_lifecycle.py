"""nginx and hostd come and go apart from each other; what was published stays."""

import asyncio
import os
import signal
import ssl
import time
from pathlib import Path

import pytest

from hostd import command
from hostd.command import Command
from hostd.errors import Conflict, Unavailable
from hostd.model.instance import Endpoint
from hostd.model.route import Route, ToDirectory, ToError, ToInstances
from hostd.router import process
from hostd.router.certificates import self_signed
from hostd.router.nginx import NginxRouter
from tests.eventually import until
from tests.router.conftest import HOSTD_HOST, free_port, router_at, to, until_in_flight
from tests.router.wire import Request, answer, backend, get, says, send

pytestmark = pytest.mark.router

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


async def answers(port: int, host: str, *, body: bytes) -> None:
    """Return once `host` answers `body`; at most 10 s."""
    async with asyncio.timeout(10):
        while True:
            try:
                if (await get(port, host)).body == body:
                    return
            except OSError:
                pass
            await asyncio.sleep(0.01)


def master(place: Path) -> int:
    pid = process.running_pid(place / "router")
    assert pid
    return pid


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_the_router_that_runs_is_adopted_with_its_table(place: Path, port: int) -> None:
    routes = [
        Route("a.localhost", ToInstances((Endpoint("127.0.0.1", 9), Endpoint("127.0.0.2", 10)), 7.5, 9), "a", "v1"),
        Route("b.localhost", ToDirectory("/srv/b", single_page=True), "b", "v2"),
        Route("c.localhost", ToError("H80"), "c"),
    ]  # fmt: skip
    first = router_at(place, port)
    try:
        await first.open()
        await first.publish(routes)
        pid = master(place)
        await first.close()
        second = router_at(place, port)
        await second.open()
        assert master(place) == pid
        assert await second.table() == {route.host: route for route in routes}
        await second.withdraw(["b.localhost", "nosuch.localhost"])
        assert set(await second.table()) == {"a.localhost", "c.localhost"}
        assert (await get(port, "b.localhost")).status == 404
        await second.close()
    finally:
        await router_at(place, port).stop()


async def test_a_changed_configuration_is_taken_without_breaking_a_request(place: Path, port: int) -> None:
    go_on = asyncio.Event()

    async def hold(_: Request, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(answer("held"))

    first = router_at(place, port)
    try:
        async with backend(hold) as endpoint, backend(says("hostd")) as hostd:
            await first.open()
            await first.publish([to(endpoint)])
            pid = master(place)
            held = asyncio.create_task(get(port, "shop.localhost"))
            await until_in_flight(first, endpoint, 1)
            await first.close()
            second = router_at(place, port, hostd)
            await second.open()
            assert master(place) == pid
            assert (await get(port, HOSTD_HOST)).body == b"hostd"
            assert await second.in_flight([endpoint]) == 1
            go_on.set()
            assert (await held).body == b"held"
            await second.close()
    finally:
        await router_at(place, port).stop()


@pytest.mark.parametrize("victim", ["master", "master and workers", "worker"])
async def test_a_killed_router_is_back_within_two_seconds(
    router: NginxRouter, place: Path, port: int, victim: str
) -> None:
    async with backend(says("hello")) as endpoint:
        await router.publish([to(endpoint)])
        pid = master(place)
        workers = children(pid)
        if "master" in victim:
            os.kill(pid, signal.SIGKILL)
        for worker in workers if "worker" in victim else []:
            os.kill(worker, signal.SIGKILL)
        began = time.monotonic()
        if "master" in victim:
            await until(lambda: process.running_pid(place / "router") not in (pid, None))
        await answers(port, "shop.localhost", body=b"hello")
        assert time.monotonic() - began < 2
        assert await router.in_flight([endpoint]) == 0
        assert "a" not in await router.table()


async def test_requests_of_a_killed_worker_are_not_counted_for_ever(
    router: NginxRouter, place: Path, port: int
) -> None:
    never = asyncio.Event()

    async def hang(_: Request, writer: asyncio.StreamWriter) -> None:
        await never.wait()

    async with backend(hang) as endpoint:
        await router.publish([to(endpoint)])
        clients = [asyncio.create_task(get(port, "shop.localhost")) for _ in range(4)]
        await until_in_flight(router, endpoint, 4)
        for worker in children(master(place)):
            os.kill(worker, signal.SIGKILL)
        await asyncio.gather(*clients, return_exceptions=True)
        await until_in_flight(router, endpoint, 0)
        never.set()


async def test_nginx_serves_the_table_from_disk_when_hostd_is_gone(place: Path, port: int) -> None:
    (place / "site").mkdir()
    (place / "site/index.html").write_text("site")
    router = router_at(place, port)
    try:
        async with backend(says("hello")) as endpoint:
            await router.open()
            await router.publish(
                [to(endpoint), Route("site.localhost", ToDirectory(str(place / "site")), "site", "v1")]
            )
            await router.stop()
            await command.check(
                Command(("nginx", "-p", f"{place}/router/", "-c", "nginx.conf", "-e", "error.log"))
            )
            await answers(port, "shop.localhost", body=b"hello")
            await answers(port, "site.localhost", body=b"site")
    finally:
        await router_at(place, port).stop()


async def test_after_a_reboot_no_address_is_trusted_until_it_is_published_anew(
    place: Path, port: int
) -> None:
    (place / "site").mkdir()
    (place / "site/index.html").write_text("site")
    router = router_at(place, port)
    try:
        async with backend(says("another app")) as endpoint, backend(says("hello")) as now:
            site = Route("site.localhost", ToDirectory(str(place / "site")), "site", "v1")
            await router.open()
            await router.publish([to(endpoint), to(endpoint, host="other.localhost"), site])
            await router.stop()
            table = place / "router/table.jsonl"
            table.write_text(table.read_text().replace(BOOT_ID, "00000000-0000-0000-0000-000000000000"))
            router = router_at(place, port)
            await router.open()
            got = await get(port, "shop.localhost")
            assert (got.status, got.headers["x-hostd-error"], got.headers["retry-after"]) == (503, "H99", "5")
            assert (await get(port, "site.localhost")).body == b"site"
            await router.publish([to(now)])
            assert (await get(port, "shop.localhost")).body == b"hello"
            assert (await router.table())["other.localhost"].target == ToError("H99")
    finally:
        await router.stop()


async def test_what_sleeps_is_asleep_after_a_reboot_too(place: Path, port: int) -> None:
    router = router_at(place, port)
    try:
        async with backend(says("another app")) as endpoint, backend(says("hello")) as now:
            await router.open()
            target = ToInstances((endpoint,), asleep=True)
            await router.publish([Route("shop.localhost", target, "shop", "v1")])
            await router.stop()
            table = place / "router/table.jsonl"
            table.write_text(table.read_text().replace(BOOT_ID, "00000000-0000-0000-0000-000000000000"))
            router = router_at(place, port)
            await router.open()
            got = await get(port, "shop.localhost")
            assert (got.status, got.headers["x-hostd-error"], got.headers["retry-after"]) == (503, "H99", "5")
            assert (await router.table())["shop.localhost"].target == ToInstances((), asleep=True)

            async def wake(host: str) -> str:
                await router.publish([to(now)])
                return "ok"

            await router.on_wake(wake)
            assert (await get(port, "shop.localhost")).body == b"hello"
    finally:
        await router.stop()


async def test_hostd_down_means_records_late_and_requests_not(place: Path, port: int) -> None:
    router = router_at(place, port)
    try:
        async with backend(says("hello")) as endpoint:
            await router.open()
            await router.publish([to(endpoint)])
            await router.close()
            for number in range(50):
                assert (await get(port, "shop.localhost", f"/{number}")).body == b"hello"
            router = router_at(place, port)
            await router.open()
            records = router.requests()
            async with asyncio.timeout(5):
                assert {(await anext(records)).path for _ in range(50)} == {f"/{n}" for n in range(50)}
            await records.aclose()  # type: ignore[attr-defined]
    finally:
        await router.stop()


async def test_a_taken_port_is_named_with_its_holder(place: Path, port: int) -> None:
    async with await asyncio.start_server(lambda _, __: None, None, port):
        with pytest.raises(Unavailable, match=rf"port {port} is taken by .*\(pid {os.getpid()}\)"):
            await router_at(place, port).open()


async def test_a_path_too_long_for_a_socket_is_refused(place: Path, port: int) -> None:
    with pytest.raises(Unavailable, match="too long"):
        await router_at(place / ("x" * 100), port).open()


async def test_the_control_socket_is_out_of_reach_for_others(router: NginxRouter, place: Path) -> None:
    assert (place / "router/private").stat().st_mode & 0o777 == 0o700
    assert (place / "router/requests.sock").stat().st_mode & 0o777 == 0o600
    assert (place / "router/table.jsonl").stat().st_mode & 0o777 == 0o600


async def test_hostds_own_host_passes_pushes_through_and_cannot_be_published(place: Path, port: int) -> None:
    arrived = asyncio.Event()

    async def receive(request: Request, writer: asyncio.StreamWriter) -> None:
        await request.reader.readexactly(5)
        arrived.set()
        await request.reader.readexactly(3_000_000)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfirs\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(answer("")[:0] + b"1\r\nt\r\n0\r\n\r\n")

    async with backend(receive, read_body=False) as hostd:
        router = router_at(place, port, hostd)
        try:
            await router.open()
            assert await router.table() == {}
            with pytest.raises(Conflict):
                await router.publish([Route(HOSTD_HOST, ToError("H80"), "a")])
            await router.withdraw([HOSTD_HOST])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"POST /shop.git/git-receive-pack HTTP/1.1\r\nHost: {HOSTD_HOST}\r\n"
                "Connection: close\r\nContent-Length: 3000005\r\n\r\nfirst".encode()
            )
            async with asyncio.timeout(10):
                await arrived.wait()
                writer.write(b"x" * 3_000_000)
                assert (await reader.read()).endswith(b"4\r\nfirs\r\n1\r\nt\r\n0\r\n\r\n")
            writer.close()
        finally:
            await router.stop()


async def test_hostd_that_is_down_is_h99(place: Path, port: int) -> None:
    async with backend(says("")) as gone:
        pass
    router = router_at(place, port, gone)
    try:
        await router.open()
        got = await get(port, HOSTD_HOST)
        assert (got.status, got.headers["x-hostd-error"], got.headers["retry-after"]) == (503, "H99", "5")
    finally:
        await router.stop()


async def test_a_tls_client_gets_the_certificate_of_the_host_it_asks_for(place: Path, port: int) -> None:
    tls_port = free_port()
    router = NginxRouter(place / "router", port, tls_port, None, None, "localhost")
    chain, key = self_signed("*.hostd.test")
    (place / "chain.pem").write_text(chain)
    context = ssl.create_default_context(cafile=str(place / "chain.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def protocol(name: str) -> str | None:
        _, writer = await asyncio.open_connection("127.0.0.1", tls_port, ssl=context, server_hostname=name)
        chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        writer.close()
        return str(chosen)

    try:
        await router.open()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await protocol("shop.hostd.test")
        await router.use_certificate("*.hostd.test", chain, key)
        assert await protocol("shop.hostd.test") == "h2"
        pid = master(place)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: process.running_pid(place / "router") not in (pid, None))
        assert await protocol("shop.hostd.test") == "h2"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await protocol("shop.other.test")
        assert (await send(tls_port, b"GET / HTTP/1.1\r\nHost: a.localhost\r\n\r\n")).status == 400
    finally:
        await router.stop()
