"""What a real DNS server says, and what is asked over HTTP."""

import asyncio
from collections.abc import Iterator

import pytest

from hostd.domains.world import World
from hostd.errors import Unavailable
from tests.e2e.server import free_port
from tests.names import Names, naming
from tests.router.wire import Request, backend, says


@pytest.fixture(scope="module")
def names() -> Iterator[Names]:
    with naming() as running:
        yield running


async def test_records_are_found_and_their_absence_is_no_failure(names: Names) -> None:
    world = World(("127.0.0.1", names.port), 80)
    names.text("_hostd.www.example.com", "hostd-1")
    names.address_of("www.example.com", "203.0.113.7", "203.0.113.8")
    assert await world.texts("_hostd.www.example.com") == ["hostd-1"]
    assert sorted(await world.addresses("www.example.com")) == ["203.0.113.7", "203.0.113.8"]
    assert (await world.texts("nothing.example.com"), await world.addresses("nothing.example.com")) == (
        [],
        [],
    )


async def test_a_server_that_does_not_answer_is_a_failure() -> None:
    with pytest.raises(Unavailable, match=r"the DNS does not tell about www\.example\.com"):
        await World(("127.0.0.1", free_port()), 80).addresses("www.example.com")


async def test_what_an_address_answers_is_read_so_far_and_never_followed() -> None:
    seen: list[Request] = []

    async def redirect(request: Request, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(b"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 5\r\n\r\nthere")

    async with backend(redirect) as endpoint:
        assert await World(None, endpoint.port).says("127.0.0.1", "www.example.com", "/x") == "there"
    assert (seen[0].line, seen[0].field("host")) == ("GET /x HTTP/1.1", "www.example.com")
    async with backend(says("x" * 5000)) as endpoint:
        assert len(await World(None, endpoint.port).says("127.0.0.1", "www.example.com", "/")) <= 1024
    assert await World(None, free_port()).says("127.0.0.1", "www.example.com", "/") == ""


def test_this_machines_addresses_are_no_loopback() -> None:
    assert all(
        not address.startswith("127.") and address != "::1" for address in World(None, 80).own_addresses()
    )
