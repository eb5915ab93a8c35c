"""Where a URL leads, looked up once: what connects uses this address, so that no answer of a name server afterwards can
lead it into the operator's own network."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from hostd.errors import Invalid, Unavailable
from hostd.model.names import shown

# IPv6 that stands for an IPv4 address elsewhere: NAT64 (RFC 6052), 6to4, Teredo.
_TRANSLATED = tuple(IPv6Network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))

PATIENCE = 10.0  # seconds
# Whoever chooses the host chooses how long its name server is silent: the threads for all else are not for that.
_lookups = ThreadPoolExecutor(8, thread_name_prefix="forge-lookup")


async def address_of(url: str, *, private: bool) -> str:
    """The address to connect to for `url`. Raises Unavailable if it has none, Invalid for one that is not public,
    unless `private` ones are allowed."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    look_up = partial(socket.getaddrinfo, host, parts.port or 443, type=socket.SOCK_STREAM)
    try:
        async with asyncio.timeout(PATIENCE):
            found = await asyncio.get_running_loop().run_in_executor(_lookups, look_up)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"the host {shown(host)} is not known", hint="check the URL") from error
    addresses = [str(item[4][0]) for item in found]
    if not private and not all(public(address) for address in addresses):
        raise Invalid(
            f"{shown(host)} is at a private address",
            hint="the operator can allow that for all: HOSTD_PRIVATE_FORGES=on",
        )
    return addresses[0]


def public(address: str) -> bool:
    """Whether an address is one of the internet at large."""
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped:
            found = found.ipv4_mapped
        elif any(found in net for net in _TRANSLATED):
            return False
    return found.is_global and not found.is_multicast
