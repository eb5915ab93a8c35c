"""A DNS server of a test's own: pebble-challtestsrv, of Debian's package pebble."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.e2e.server import free_port, wait_for

PROGRAM = "pebble-challtestsrv"


@dataclass(frozen=True)
class Names:
    """Names that are not set have no address."""

    port: int
    management: int

    @property
    def address(self) -> str:
        """As HOSTD_DNS_RESOLVER wants it."""
        return f"127.0.0.1:{self.port}"

    def address_of(self, name: str, *addresses: str) -> None:
        """Let `name` have these IPv4 addresses."""
        self._tell("add-a", {"host": f"{name}.", "addresses": addresses})

    def text(self, name: str, value: str) -> None:
        """Let `name` have this TXT record."""
        self._tell("set-txt", {"host": f"{name}.", "value": value})

    def _tell(self, verb: str, what: object) -> None:
        httpx.post(f"http://127.0.0.1:{self.management}/{verb}", json=what).raise_for_status()


@contextmanager
def naming() -> Iterator[Names]:
    """A DNS server; skips the test where there is no pebble."""
    if not shutil.which(PROGRAM):
        pytest.skip(f"needs {PROGRAM}: apt-get install pebble")
    names = Names(free_port(), free_port())
    off = [f"-{name}=" for name in ("http01", "https01", "tlsalpn01", "defaultIPv4", "defaultIPv6")]
    listen = [f"-dns01={names.address}", f"-management=127.0.0.1:{names.management}"]
    process = subprocess.Popen([PROGRAM, *off, *listen], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _answers(names), 10, "pebble-challtestsrv did not start")
        yield names
    finally:
        process.terminate()
        process.wait()


def _answers(names: Names) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{names.management}/").status_code < 500
    except httpx.TransportError:
        return False
