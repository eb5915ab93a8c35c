"""Asking the world: DNS through one resolver, and HTTP at an address that the caller has chosen, never at a name."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from ipaddress import ip_address

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver
import httpx
from dns.rdata import Rdata
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from hostd.errors import Unavailable

PATIENCE = 5.0  # seconds
ANSWER_LIMIT = 1024  # bytes


class World:
    """Satisfies `control.platform.World`. `resolver` is an address and a port, None: as /etc/resolv.conf says.

    `http_port` is where the router answers, here and on whatever may stand in front of it.
    """

    def __init__(self, resolver: tuple[str, int] | None, http_port: int) -> None:
        self._resolver = resolver
        self._http_port = http_port

    async def texts(self, name: str) -> Sequence[str]:
        """The TXT records at `name`."""
        found = await self._ask(name, dns.rdatatype.TXT)
        return [
            b"".join(record.strings).decode(errors="replace") for record in found if isinstance(record, TXT)
        ]

    async def addresses(self, name: str) -> Sequence[str]:
        """The IPv4 and IPv6 addresses of `name`, aliases followed."""
        fours, sixes = await asyncio.gather(
            self._ask(name, dns.rdatatype.A), self._ask(name, dns.rdatatype.AAAA)
        )
        return [record.address for record in (*fours, *sixes) if isinstance(record, A | AAAA)]

    async def says(self, address: str, host: str, path: str) -> str:
        """What the address answers as `host`. Nothing is followed, neither a redirect nor a proxy of ours."""
        place = f"[{address}]" if ":" in address else address
        url = f"http://{place}:{self._http_port}{path}"
        try:
            async with (
                httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client,
                client.stream("GET", url, headers={"Host": host}) as answer,
            ):
                async for piece in answer.aiter_raw(ANSWER_LIMIT):
                    return piece.decode(errors="replace")
        except httpx.HTTPError:
            pass
        return ""

    def own_addresses(self) -> Sequence[str]:
        """Those that this machine sends from to the world; no packet is sent to find out. Of IPv6 only what the world
        can reach; of IPv4 also what a router may lead to."""
        found = []
        for family, anywhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
            with socket.socket(family, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
                probe.connect((anywhere, 9))
                found.append(probe.getsockname()[0])
        return [address for address in found if ":" not in address or ip_address(address).is_global]

    async def _ask(self, name: str, kind: dns.rdatatype.RdataType) -> Sequence[Rdata]:
        try:
            return list(await self._made().resolve(f"{name}.", kind, lifetime=PATIENCE))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError) as error:
            raise Unavailable(
                f"the DNS does not tell about {name}: {type(error).__name__}", hint="try again in a minute"
            ) from error

    def _made(self) -> dns.asyncresolver.Resolver:
        """Anew each time: /etc/resolv.conf changes, and an answer must not be remembered."""
        if self._resolver is None:
            return dns.asyncresolver.Resolver()
        made = dns.asyncresolver.Resolver(configure=False)
        made.nameservers = [self._resolver[0]]
        made.port = self._resolver[1]
        return made
