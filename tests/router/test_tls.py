"""TLS at the router: which certificate, from when on, and what plain HTTP is told."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hostd.errors import Invalid
from hostd.model.route import Route, ToHost
from hostd.router import process
from hostd.router.certificates import self_signed
from hostd.router.nginx import NginxRouter
from tests.router.conftest import free_port, to
from tests.router.wire import Answer, backend, get, says, send

pytestmark = pytest.mark.router

WWW, HOST = "www.example.com", "shop.localhost"
CHALLENGE = "/.well-known/acme-challenge/token"


@dataclass(frozen=True)
class Secure:
    """An open router and its ports."""

    router: NginxRouter
    http: int
    https: int
    place: Path

    async def shown(self, name: str) -> str | None:
        """The certificate that is shown for `name`, as PEM; None if the handshake ends."""
        context = ssl._create_unverified_context()  # noqa: S323
        try:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", self.https, ssl=context, server_hostname=name
            )
        except (ssl.SSLError, ConnectionError):
            return None
        der = writer.get_extra_info("ssl_object").getpeercert(True)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return ssl.DER_cert_to_PEM_cert(der)

    async def get(self, host: str) -> Answer:
        """A GET over TLS."""
        context = ssl._create_unverified_context()  # noqa: S323
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.https, ssl=context, server_hostname=host
        )
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        status, *lines = head.decode().split("\r\n")
        fields = (line.partition(": ") for line in lines)
        return Answer(int(status.split()[1]), {name.lower(): value for name, _, value in fields}, body)


@pytest.fixture
async def secure(place: Path, port: int) -> AsyncIterator[Secure]:
    https = free_port()
    router = NginxRouter(place / "router", port, https, None, None, "localhost")
    try:
        await router.open()
        yield Secure(router, port, https, place)
    finally:
        await router.stop()
        errors = (place / "router/error.log").read_text()
        assert "[crit]" not in errors and ".lua:" not in errors, errors


async def test_a_certificate_is_shown_changed_and_forgotten_without_a_reload(secure: Secure) -> None:
    workers = children(secure.place)
    assert await secure.shown(WWW) is None
    for _ in range(2):
        chain, key = self_signed(WWW)
        await secure.router.use_certificate(WWW, chain, key)
        assert await secure.shown(WWW) == chain
        assert await secure.shown(WWW.upper()) == chain
    assert await secure.router.certified() == [WWW]
    await secure.router.forget_certificate(WWW)
    await secure.router.forget_certificate(WWW)
    assert await secure.shown(WWW) is None
    assert children(secure.place) == workers


async def test_a_certificate_is_shown_for_its_own_host_whatever_names_are_in_it(secure: Secure) -> None:
    chain, key = self_signed(WWW, "other.example.com", "*.example.org")
    await secure.router.use_certificate(WWW, chain, key)
    assert await secure.shown("other.example.com") is None
    assert await secure.shown("a.example.org") is None
    wildcard, wildcard_key = self_signed("*.example.com")
    await secure.router.use_certificate("*.example.com", wildcard, wildcard_key)
    assert await secure.shown("other.example.com") == wildcard
    assert await secure.shown(WWW) == chain
    assert await secure.shown("example.com") is None
    assert await secure.shown("a.b.example.com") is None


async def test_certificates_are_there_after_a_restart_and_an_operators_stands_for_all_of_base(
    secure: Secure,
) -> None:
    chain, key = self_signed("*.example.com")
    await secure.router.use_certificate("*.example.com", chain, key)
    base, base_key = self_signed("*.localhost")
    kept = secure.place / "router/private/certificates"
    (kept / "localhost.crt").write_text(base)
    (kept / "localhost.key").write_text(base_key)
    await secure.router.stop()
    again = NginxRouter(secure.place / "router", secure.http, secure.https, None, None, "localhost")
    await again.open()
    try:
        assert await secure.shown(WWW) == chain
        assert await secure.shown(HOST) == base
        assert await again.certified() == ["*.example.com", "localhost", "*.localhost"]
    finally:
        await again.stop()


async def test_many_may_come_at_once(secure: Secure) -> None:
    pairs = {f"n{number}.example.com": self_signed(f"n{number}.example.com") for number in range(40)}
    await asyncio.gather(
        *(secure.router.use_certificate(host, chain, key) for host, (chain, key) in pairs.items())
    )
    assert set(await secure.router.certified()) == pairs.keys()
    for host in ("n0.example.com", "n39.example.com"):
        assert await secure.shown(host) == pairs[host][0]


async def test_only_a_host_has_a_certificate(secure: Secure) -> None:
    for host in ("../x", "a/b", "", "*.", "**.example.com", "-a", "a.*.b"):
        with pytest.raises(Invalid):
            await secure.router.use_certificate(host, *self_signed(WWW))


async def test_plain_http_is_sent_on_once_there_is_a_certificate(secure: Secure) -> None:
    async with backend(says("app")) as endpoint:
        shop = replace(to(endpoint), https=True, hsts=60)
        www = Route(WWW, ToHost(HOST), "shop", https=True, hsts=3600)
        await secure.router.publish([shop, www])
        assert (await get(secure.http, WWW)).body == b"app"
        await secure.router.use_certificate(WWW, *self_signed(WWW))
        sent_on = await get(secure.http, WWW, "/a%20b?c=%2F&d")
        assert sent_on.status == 308
        assert sent_on.headers["location"] == f"https://{WWW}:{secure.https}/a%20b?c=%2F&d"
        absolute = f"GET http://{WWW}/x?y HTTP/1.1\r\nHost: {WWW}\r\nConnection: close\r\n\r\n"
        answer = await send(secure.http, absolute.encode())
        assert answer.headers["location"] == f"https://{WWW}:{secure.https}/x?y"
        assert "strict-transport-security" not in sent_on.headers
        assert (await get(secure.http, HOST)).body == b"app"  # it has none
        secured = await secure.get(WWW)
        assert (secured.status, secured.body) == (200, b"app")
        assert secured.headers["strict-transport-security"] == "max-age=3600"
        await secure.router.publish([replace(www, https=False, hsts=0)])
        assert (await get(secure.http, WWW)).body == b"app"
        assert "strict-transport-security" not in (await secure.get(WWW)).headers


async def test_a_challenge_is_neither_sent_on_nor_kept_behind_a_password(secure: Secure) -> None:
    async with backend(says("app")) as endpoint:
        locked = replace(to(endpoint, host=WWW), https=True, password="salt:" + "0" * 64)
        await secure.router.publish([locked])
        await secure.router.use_certificate(WWW, *self_signed(WWW))
        await secure.router.answer(WWW, CHALLENGE, "token.thumbprint")
        assert (await get(secure.http, WWW, CHALLENGE)).body == b"token.thumbprint"
        assert (await get(secure.http, WWW, CHALLENGE + "2")).status == 308
        await secure.router.answer(WWW, CHALLENGE, None)
        assert (await get(secure.http, WWW, CHALLENGE)).status == 308


async def test_old_versions_of_tls_are_refused(secure: Secure) -> None:
    await secure.router.use_certificate(WWW, *self_signed(WWW))
    context = ssl._create_unverified_context()  # noqa: S323
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", secure.https, ssl=context, server_hostname=WWW)


def children(place: Path) -> list[str]:
    """The workers of the nginx that runs there."""
    pid = process.running_pid(place / "router")
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
