"""What the verbs work with. `Platform` is built once, in `hostd.wiring`, and handed to every function of control.

The Protocols here have one real implementation each and a fake in tests/fakes.py.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from hostd.engine.base import Engine
from hostd.git.repos import Repositories
from hostd.model.app import App, Environment
from hostd.model.image import Image
from hostd.model.instance import Endpoint
from hostd.model.log import RequestRecord
from hostd.model.route import Route
from hostd.model.source import Source
from hostd.store.database import Database
from hostd.transcript import Transcript


class Builder(Protocol):
    """Turns a Source into an Image."""

    async def build(
        self,
        source: Source,
        app: App,
        env: Mapping[str, str],
        previous: Image | None,
        transcript: Transcript,
    ) -> Image:
        """`env` is given to the buildpacks; layers of `previous` are restored. Raises BuildFailed, LimitExceeded.

        Nothing that an earlier Image uses is changed. What a failed Build made is removed.
        """
        ...

    async def collect(self, app: App, kept: Sequence[Image]) -> None:
        """Remove what no Image in `kept` uses. Never runs beside a Build of the same App."""
        ...


class Router(Protocol):
    """The data plane: one table host -> Target."""

    async def publish(self, routes: Sequence[Route]) -> None:
        """Set these hosts' routes; returns once every new request follows them and the table on disk has them."""
        ...

    async def withdraw(self, hosts: Sequence[str]) -> None:
        """Forget these hosts: they answer as unknown from now on."""
        ...

    async def table(self) -> Mapping[str, Route]:
        """What is published now, by host."""
        ...

    async def in_flight(self, endpoints: Sequence[Endpoint]) -> int:
        """Requests and WebSockets that are under way to these endpoints."""
        ...

    def requests(self) -> AsyncIterator[RequestRecord]:
        """Every request from now on, for ever."""
        ...


@dataclass(frozen=True, slots=True)
class Names:
    """How hosts and URLs are made from names: `base` "localhost", `port` as people type it, `scheme` "http"."""

    base: str
    scheme: str
    port: int
    public_url: str

    def host(self, app: str) -> str:
        """The host name of an App's production Environment."""
        return f"{app}.{self.base}"

    def url(self, environment: Environment) -> str:
        """The URL a person opens."""
        usual = {"http": 80, "https": 443}[self.scheme] == self.port
        return f"{self.scheme}://{environment.host}" + ("" if usual else f":{self.port}")

    def remote(self, app: App) -> str:
        """The URL to push to."""
        return f"{self.public_url}/{app.name}.git"


@dataclass(frozen=True, slots=True)
class Platform:
    """All that a verb may touch."""

    data: Path
    db: Database
    repositories: Repositories
    builder: Builder
    engine: Engine
    router: Router
    names: Names
    now: Callable[[], datetime]
    background: set[asyncio.Task[None]] = field(default_factory=set)
    locks: dict[int, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def lock(self, environment: Environment) -> asyncio.Lock:
        """Held while an Environment changes: one Build or Rollout at a time."""
        return self.locks[environment.id]
