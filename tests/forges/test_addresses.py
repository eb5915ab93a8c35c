"""Where hostd connects on a tenant's word, and where not."""

import asyncio
import socket
import threading

import pytest

from hostd.errors import Invalid, Unavailable
from hostd.forges import addresses
from hostd.forges.addresses import address_of, public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001::1",
    ],
)
def test_what_is_not_the_internet_at_large_is_private(address: str) -> None:
    assert not public(address)


@pytest.mark.parametrize("address", ["140.82.112.3", "2606:50c0:8000::153", "::ffff:140.82.112.3"])
def test_what_is_on_the_internet_is_public(address: str) -> None:
    assert public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost/me/shop",
        "https://127.0.0.1/me/shop",
        "https://127.1/me/shop",
        "https://2130706433/me/shop",
        "https://0x7f.1/me/shop",
        "https://0177.0.0.1/me/shop",
        "https://[::1]/me/shop",
        "https://[::ffff:127.0.0.1]/me/shop",
        "https://0/me/shop",
    ],
)
async def test_no_spelling_of_this_machine_is_connected_to(url: str) -> None:
    with pytest.raises(Invalid, match="is at a private address"):
        await address_of(url, private=False)
    assert await address_of(url, private=True)


async def test_a_silent_name_server_holds_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers.wait(20))
    monkeypatch.setattr(addresses, "PATIENCE", 0.2)
    asked = [address_of("https://silent.example/me/shop", private=False) for _ in range(50)]
    waiting = asyncio.gather(*asked, return_exceptions=True)
    try:
        await asyncio.sleep(0)
        async with asyncio.timeout(2):
            await asyncio.to_thread(int)
            assert {type(each) for each in await waiting} == {Unavailable}
    finally:
        answers.set()


async def test_a_host_that_is_not_there_is_said() -> None:
    with pytest.raises(Unavailable, match=r"the host 'no-such-host\.invalid' is not known"):
        await address_of("https://no-such-host.invalid/me/shop", private=False)
    with pytest.raises(Unavailable):
        await address_of(f"https://{'a' * 64}.org/me/shop", private=False)
