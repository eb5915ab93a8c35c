"""What the verbs work with. `Platform` is built once, in `hostd.wiring`, and handed to every function of control.

The Protocols here have one real implementation each and a fake in tests/fakes.py.
"""

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hostd.control.locks import Locks
from hostd.control.room import Room
from hostd.control.secrets import Secrets
from hostd.engine.base import Engine
from hostd.git.repos import Repositories
from hostd.model.app import App, Environment, label_of
from hostd.model.certificate import Pair
from hostd.model.image import Image
from hostd.model.instance import Endpoint, Limits
from hostd.model.log import LogLine, RequestRecord
from hostd.model.route import Route
from hostd.model.run import RunLimits
from hostd.model.source import Source
from hostd.model.traffic import Meter
from hostd.store.database import Database
from hostd.transcript import Transcript

if TYPE_CHECKING:
    from hostd.control.canary import Canary
    from hostd.control.keeper import Keeper
    from hostd.control.runs import Following

BODIES = 4  # of one Forge's deliveries that are read at once: each is up to 10 MiB of memory
FETCHES = 4  # from forges at once for each User
APP_JOBS = 4  # cron jobs of one App that run at once
_log = logging.getLogger(__name__)


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

    async def answer(self, host: str, path: str, text: str | None) -> None:
        """Answer `text` at this path of this host before any App is asked, for an hour at most; None: no longer."""
        ...

    async def use_certificate(self, host: str, chain_pem: str, key_pem: str) -> None:
        """Show this to TLS clients that ask for `host`, from the next handshake on, also after a restart."""
        ...

    async def forget_certificate(self, host: str) -> None:
        """From now on there is none for `host`; nothing if there was none."""
        ...

    async def certified(self) -> Sequence[str]:
        """The hosts that have a certificate; `*.ZONE` stands for all below it."""
        ...

    async def in_flight(self, endpoints: Sequence[Endpoint]) -> int:
        """Requests and WebSockets that are under way to these endpoints."""
        ...

    def requests(self) -> AsyncIterator[RequestRecord]:
        """Every request from now on, for ever."""
        ...

    async def on_wake(self, wake: Callable[[str], Awaitable[str]]) -> None:
        """From now on ask `wake` for a host whose Route is asleep; it gives "ok" or the code of a page."""
        ...


class Authority(Protocol):
    """Issues certificates to who answers its challenges."""

    @property
    def wildcards(self) -> bool:
        """Whether it issues for `*.ZONE`: that needs a way to set DNS records."""
        ...

    async def issue(self, host: str, answer: Callable[[str, str | None], Awaitable[None]]) -> Pair:
        """A certificate for `host`. `answer` is told what to answer there at which path, and None when that is over.

        Raises NotIssued.
        """
        ...

    async def renewal(self, chain: str) -> datetime | None:
        """When it would like to renew this certificate, if it says so (RFC 9773)."""
        ...


class World(Protocol):
    """What the rest of the world says of a host name. Raises Unavailable where the DNS cannot be asked."""

    async def texts(self, name: str) -> Sequence[str]:
        """The TXT records at `name`."""
        ...

    async def addresses(self, name: str) -> Sequence[str]:
        """The IPv4 and IPv6 addresses of `name`, aliases followed."""
        ...

    async def says(self, address: str, host: str, path: str) -> str:
        """What `address` answers to a GET of `path` as `host`, over HTTP, the first kilobyte; "" for nothing."""
        ...

    def own_addresses(self) -> Sequence[str]:
        """Those of this machine that others can reach it at."""
        ...


@dataclass(frozen=True, slots=True)
class Names:
    """How hosts and URLs are made from names: `base` "localhost", ports as people type them.

    `certified` tells whether a host has a certificate; without one, or without an `https_port`, its URL is plain.
    `ssh_port` None: no git over SSH.
    """

    base: str
    http_port: int
    https_port: int | None
    public_url: str
    ssh_port: int | None = None
    certified: Callable[[str], bool] = lambda _: False

    @property
    def hostd_host(self) -> str:
        """Where hostd itself answers through the router."""
        return f"hostd.{self.base}"

    def host(self, app: str) -> str:
        """The host name of an App's production Environment."""
        return f"{app}.{self.base}"

    def preview_host(self, app: str, preview: str) -> str:
        """The host name of one of an App's Previews."""
        return f"{label_of(app, preview)}.{self.base}"

    def release_host(self, app: str, number: int) -> str:
        """The host name that a Release of an App's production keeps."""
        return f"v{number}--{app}.{self.base}"

    def url(self, environment: Environment) -> str:
        """The URL a person opens."""
        return self.url_of(environment.host)

    def url_of(self, host: str) -> str:
        """The URL of a host that the router answers for."""
        if self.https_port and self.certified(host):
            return f"https://{host}" + ("" if self.https_port == 443 else f":{self.https_port}")
        return f"http://{host}" + ("" if self.http_port == 80 else f":{self.http_port}")

    def remote(self, app: App) -> str:
        """The URL to push to."""
        return f"{self.public_url}/{app.name}.git"

    def ssh_remote(self, app: str) -> str | None:
        """The URL to push to over SSH; None if that is switched off."""
        if self.ssh_port is None:
            return None
        host = re.sub(r"^https?://|:[0-9]+$", "", self.public_url)
        return f"ssh://git@{host}{'' if self.ssh_port == 22 else f':{self.ssh_port}'}/{app}.git"


@dataclass(frozen=True, slots=True)
class Platform:
    """All that a verb may touch.

    Who holds several locks takes them in this order: those of Environments by their labels, `building`, `sweeping`.
    The latter two are by App: one Build at a time, until its Release is stored; while old Images are removed, or
    one of them is chosen to run again.
    """

    data: Path
    db: Database
    repositories: Repositories
    builder: Builder
    engine: Engine
    router: Router
    world: World
    authority: Authority | None
    secrets: Secrets
    names: Names
    now: Callable[[], datetime]
    limits: Limits
    builds: asyncio.Semaphore
    note: Callable[[LogLine], None]
    private_forges: bool = False  # whether forges may be at private addresses, and over plain http
    queued: asyncio.Event = field(default_factory=asyncio.Event)  # a forge's Delivery waits to be worked off
    room: Room = field(default_factory=Room)
    background: set[asyncio.Task[None]] = field(default_factory=set)
    untidy: set[int] = field(
        default_factory=set
    )  # Environments that something was deployed to since their last tidy
    leaving: set[str] = field(default_factory=set)  # ids of Instances that are drained: no strays
    keyring: dict[str, int] = field(default_factory=dict)  # fingerprint of an SSH key -> id of its User
    keepers: dict[int, "Keeper"] = field(default_factory=dict)
    # by Environment and origin: of what is not live any more but was asked for, or is kept for a Rollback
    formers: dict[tuple[int, int], "Keeper"] = field(default_factory=dict)
    traffic: Meter = field(default_factory=Meter)
    canaries: dict[int, "Canary"] = field(default_factory=dict)
    locks: Locks[str] = field(default_factory=Locks)
    building: Locks[int] = field(default_factory=Locks)
    sweeping: Locks[int] = field(default_factory=Locks)
    run_limits: RunLimits = field(default_factory=RunLimits)
    jobs: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))  # of cron, at once
    app_jobs: dict[int, asyncio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(APP_JOBS))
    )
    bodies: dict[str, asyncio.Semaphore] = field(  # by the id of a Forge
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(BODIES))
    )
    fetches: dict[int, asyncio.Semaphore] = field(  # by the id of a User
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(FETCHES))
    )
    following: dict[int, "Following"] = field(default_factory=dict)  # by the id of a Run

    @property
    def all_keepers(self) -> Sequence["Keeper"]:
        """Those of what is live, then those of former Releases."""
        return *self.keepers.values(), *self.formers.values()

    def later(self, work: Coroutine[None, None, None]) -> None:
        """Run `work` beside everything else; the platform waits for it (or cancels it) when it closes."""
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.background.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("work in the background failed", exc_info=error)

    def lock(self, environment: Environment) -> asyncio.Lock:
        """Held while an Environment changes: one push or Rollout at a time."""
        return self.locks[environment.label]
