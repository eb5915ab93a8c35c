"""A Platform, two users, and clients that speak to the real app without a socket."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from hostd.control.logs import LogBook
from hostd.control.platform import Platform
from hostd.control.rollout import rollout
from hostd.http.app import create_app
from hostd.model.release import Release
from hostd.store import apps, environments, releases, tokens, users
from hostd.transcript import Transcript
from tests.fakes_control import FakeBuilder, platform_in


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with platform_in(tmp_path) as made:
        yield made


@pytest.fixture
def logbook(tmp_path: Path) -> LogBook:
    return LogBook(tmp_path / "logs")


@pytest.fixture
def server(platform: Platform, logbook: LogBook) -> httpx.ASGITransport:
    return httpx.ASGITransport(create_app(platform, logbook))


async def token_of(platform: Platform, name: str, administrator: bool = False) -> str:
    """A Token of a new user called `name`."""
    user = await platform.db.call(users.create, name, administrator, platform.now())
    return await platform.db.call(tokens.issue, user.id, "test", platform.now())


def client(server: httpx.ASGITransport, token: str | None) -> httpx.AsyncClient:
    """Speaks to `server` with that Token."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(transport=server, base_url="http://localhost:8081", headers=headers)


@pytest.fixture
async def ada(platform: Platform, server: httpx.ASGITransport) -> AsyncIterator[httpx.AsyncClient]:
    async with client(server, await token_of(platform, "ada")) as made:
        yield made


@pytest.fixture
async def bob(platform: Platform, server: httpx.ASGITransport) -> AsyncIterator[httpx.AsyncClient]:
    async with client(server, await token_of(platform, "bob")) as made:
        yield made


@pytest.fixture
async def admin(platform: Platform, server: httpx.ASGITransport) -> AsyncIterator[httpx.AsyncClient]:
    async with client(server, await token_of(platform, "root", True)) as made:
        yield made


@pytest.fixture
async def stranger(server: httpx.ASGITransport) -> AsyncIterator[httpx.AsyncClient]:
    async with client(server, None) as made:
        yield made


async def deploy(platform: Platform, name: str) -> Release:
    """A live Release of a static page for an App that is there."""
    app = await platform.db.read(apps.by_name, name)
    environment = (await platform.db.read(environments.of_app, app.id))[0]
    assert isinstance(platform.builder, FakeBuilder)
    release = await platform.db.call(
        releases.create,
        environment.id,
        platform.builder.image,
        platform.secrets.encrypt_mapping({}),
        "c0ffee" * 6 + "c0ff",
        "push",
        "ada",
        platform.now(),
        {},
    )
    return await rollout(platform, environment, release, Transcript())
