"""A real nginx per test, in a directory that its unprivileged workers can reach."""

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hostd.model.instance import Endpoint
from hostd.model.route import Route, ToInstances
from hostd.router import process
from hostd.router.nginx import NginxRouter

HOSTD_HOST = "hostd.localhost"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that www-data may search (tmp_path is 0700). A router that a failed test left there is ended."""
    path = Path(tempfile.mkdtemp(prefix="hostd-router-"))
    path.chmod(0o711)
    yield path
    left = process.running_pid(path / "router")
    if left:
        os.kill(left, signal.SIGTERM)
    shutil.rmtree(path)


@pytest.fixture
def port() -> int:
    """Where the router of this test listens."""
    return free_port()


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def router_at(place: Path, port: int, hostd: Endpoint | None = None) -> NginxRouter:
    """A NginxRouter that lives below `place`; not yet open."""
    return NginxRouter(place / "router", port, None, hostd, HOSTD_HOST if hostd else None, "localhost")


@pytest.fixture
async def router(place: Path, port: int) -> AsyncIterator[NginxRouter]:
    """An open router without routes, on `port`."""
    router = router_at(place, port)
    try:
        await router.open()
        yield router
    finally:
        await router.stop()
        errors = (place / "router/error.log").read_text()
        assert "[crit]" not in errors and ".lua:" not in errors, errors


def to(
    *endpoints: Endpoint, host: str = "shop.localhost", first_byte: float = 30.0, idle: float = 55.0
) -> Route:
    """A Route of the App shop to these Instances."""
    return Route(host, ToInstances(endpoints, first_byte, idle), "shop", "v1")


async def until_in_flight(router: NginxRouter, endpoint: Endpoint, count: int) -> None:
    """Return once so many requests are under way to `endpoint`. Raises TimeoutError after 10 s."""
    async with asyncio.timeout(10):
        while await router.in_flight([endpoint]) != count:  # noqa: ASYNC110 (nginx knows no event of ours)
            await asyncio.sleep(0.01)
