"""The ACME side against a real authority (pebble), with a real router that answers its challenges."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from hostd.domains.acme import AcmeAuthority
from hostd.model.certificate import NotIssued, lifetime
from hostd.router.nginx import NginxRouter
from tests.e2e.server import free_port
from tests.names import Names, naming
from tests.pebble import Pebble, issuing
from tests.router.wire import Request, backend

pytestmark = pytest.mark.router

WWW = "www.example.com"


@pytest.fixture(scope="module")
def http_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def names() -> Iterator[Names]:
    with naming() as running:
        yield running


@pytest.fixture(scope="module")
def pebble(names: Names, http_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with issuing(tmp_path_factory.mktemp("pebble"), names, http_port) as running:
        yield running


@pytest.fixture
async def router(place: Path, http_port: int) -> AsyncIterator[NginxRouter]:
    router = NginxRouter(place / "router", http_port, free_port(), None, None, "localhost")
    try:
        await router.open()
        yield router
    finally:
        await router.stop()


def authority(place: Path, pebble: Pebble, hook: Path | None = None) -> AcmeAuthority:
    return AcmeAuthority(place / "acme", pebble.directory, "ada@example.com", pebble.ca, hook)


async def shown(port: int, name: str, root: Path) -> str | None:
    """The serial number of the certificate that is shown for `name`, if `root` vouches for it."""
    context = ssl.create_default_context(cafile=str(root))
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    certificate = writer.get_extra_info("ssl_object").getpeercert()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return str(certificate["serialNumber"])


async def test_a_host_that_leads_here_gets_a_certificate_which_is_shown_at_once(
    router: NginxRouter, place: Path, pebble: Pebble, names: Names
) -> None:
    names.address_of(WWW, "127.0.0.1")
    port = router._config.https_port
    assert port
    made = authority(place, pebble)
    serials = []
    for _ in range(2):  # the second is a renewal
        pair = await made.issue(WWW, partial(router.answer, WWW))
        await router.use_certificate(WWW, pair.chain, pair.key)
        serials.append(await shown(port, WWW, pebble.root))
    assert serials[0] != serials[1]
    not_before, not_after = lifetime(pair.chain)
    assert not_after - not_before > timedelta(days=1)
    assert await made.renewal(pair.chain) is None  # this pebble has no wishes
    for path in (place / "acme/account.key", place / f"router/private/certificates/{WWW}.key"):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_a_host_where_the_answer_is_another_gets_none_and_the_reason(
    router: NginxRouter, place: Path, pebble: Pebble, names: Names
) -> None:
    names.address_of("elsewhere.example.com", "127.0.0.1")
    with pytest.raises(NotIssued, match=r"could not check elsewhere\.example\.com: .* returned 404"):
        await authority(place, pebble).issue("elsewhere.example.com", _answers_nothing)


async def test_an_account_that_the_authority_does_not_know_is_made_anew(
    router: NginxRouter, place: Path, pebble: Pebble, names: Names
) -> None:
    names.address_of(WWW, "127.0.0.1")
    made = authority(place, pebble)
    await made.issue(WWW, partial(router.answer, WWW))
    path = place / "acme/account.json"
    text = path.read_text()
    account = text.rpartition("/")[2].strip('"}')
    path.write_text(text.replace(account, "7777777"))
    with pytest.raises(NotIssued, match="the authority refused"):
        await made.issue(WWW, partial(router.answer, WWW))
    await made.issue(WWW, partial(router.answer, WWW))
    assert path.read_text() == text  # found again by its key


async def test_a_wildcard_is_proved_by_the_operators_program(
    place: Path, pebble: Pebble, names: Names
) -> None:
    told = place / "told"
    lines = f"""echo "$1 $2" >>{told}
[ "$1" = cleanup ] && exit
record="{{\\"host\\":\\"$2.\\",\\"value\\":\\"$3\\"}}"
curl -s -d "$record" 127.0.0.1:{names.management}/set-txt"""
    hook = program(place, lines)
    made = authority(place, pebble, hook)
    assert made.wildcards
    pair = await made.issue("*.example.com", _answers_nothing)
    assert "BEGIN CERTIFICATE" in pair.chain
    assert told.read_text() == "present _acme-challenge.example.com\ncleanup _acme-challenge.example.com\n"


async def test_a_program_that_fails_is_quoted(place: Path, pebble: Pebble) -> None:
    made = authority(place, pebble, program(place, "echo no such zone; exit 3"))
    with pytest.raises(
        NotIssued, match=r"ended with 3 at present _acme-challenge\.example\.com: no such zone"
    ):
        await made.issue("*.example.com", _answers_nothing)
    gone = authority(place, pebble, place / "gone")
    with pytest.raises(NotIssued, match="the DNS hook cannot be run"):
        await gone.issue("*.example.com", _answers_nothing)


async def test_an_authority_that_is_down_or_no_authority_is_said_to_be(place: Path, pebble: Pebble) -> None:
    nobody = AcmeAuthority(place / "acme", f"https://localhost:{free_port()}/dir")
    with pytest.raises(NotIssued, match="the authority cannot be reached: ConnectionError"):
        await nobody.issue(WWW, _answers_nothing)
    assert await nobody.renewal("") is None
    distrusted = AcmeAuthority(place / "acme", pebble.directory)
    with pytest.raises(NotIssued, match="the authority cannot be reached: SSLError"):
        await distrusted.issue(WWW, _answers_nothing)
    strange = AcmeAuthority(place / "acme", pebble.directory.replace("/dir", "/"), roots=pebble.ca)
    with pytest.raises(NotIssued, match="the authority"):
        await strange.issue(WWW, _answers_nothing)


async def test_how_long_an_authority_wants_to_be_left_alone_is_told(place: Path) -> None:
    body = '{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates"}'

    async def refuse(_: Request, writer: asyncio.StreamWriter) -> None:
        head = "HTTP/1.1 429 No\r\nRetry-After: 3600\r\nContent-Type: application/problem+json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    async with backend(refuse) as endpoint:
        with pytest.raises(NotIssued, match="too many certificates") as refused:
            await AcmeAuthority(place / "acme", f"http://{endpoint}/dir").issue(WWW, _answers_nothing)
    assert refused.value.wait == timedelta(hours=1)


def program(place: Path, lines: str) -> Path:
    path = place / "hook"
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


async def _answers_nothing(path: str, text: str | None) -> None:
    return None
