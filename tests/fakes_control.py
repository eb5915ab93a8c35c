"""Fakes of what a Platform works with, and a Platform of real parts around them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hostd.control.logs import LogBook
from hostd.control.platform import Names, Platform
from hostd.control.secrets import Secrets
from hostd.errors import HostdError, Unavailable
from hostd.git.repos import Repositories
from hostd.model.app import App
from hostd.model.image import Image, StaticSite, Tree, image_digest
from hostd.model.instance import Endpoint, Limits
from hostd.model.log import RequestRecord
from hostd.model.route import Route
from hostd.model.source import Source
from hostd.store.database import Database
from hostd.transcript import Transcript
from tests.fakes import FakeEngine


class FakeRouter:
    """A table in memory. `served` is a queue of the requests it is to have served; `refuse` makes `publish` fail."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.served: asyncio.Queue[RequestRecord] = asyncio.Queue()
        self.refuse = ""
        self.under_way = 0
        self.answers: dict[tuple[str, str], str] = {}
        self.certificates: dict[str, tuple[str, str]] = {}

    async def publish(self, routes: Sequence[Route]) -> None:
        if self.refuse:
            raise Unavailable(self.refuse)
        self.routes.update({route.host: route for route in routes})

    async def withdraw(self, hosts: Sequence[str]) -> None:
        for host in hosts:
            self.routes.pop(host, None)

    async def table(self) -> Mapping[str, Route]:
        return dict(self.routes)

    async def answer(self, host: str, path: str, text: str | None) -> None:
        if text is None:
            self.answers.pop((host, path), None)
        else:
            self.answers[host, path] = text

    async def use_certificate(self, host: str, chain_pem: str, key_pem: str) -> None:
        self.certificates[host] = (chain_pem, key_pem)

    async def forget_certificate(self, host: str) -> None:
        self.certificates.pop(host, None)

    async def certified(self) -> Sequence[str]:
        return list(self.certificates)

    async def in_flight(self, endpoints: Sequence[Endpoint]) -> int:
        return self.under_way

    async def on_wake(self, wake: Callable[[str], Awaitable[str]]) -> None:
        self.wake = wake

    async def requests(self) -> AsyncIterator[RequestRecord]:
        while True:
            yield await self.served.get()


class FakeWorld:
    """A DNS of two tables. Addresses in `own` lead to `router`, for every name."""

    def __init__(self, router: FakeRouter) -> None:
        self.router = router
        self.own = ["203.0.113.7"]
        self.txt: dict[str, list[str]] = {}
        self.names: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.down = False

    async def texts(self, name: str) -> Sequence[str]:
        if self.down:
            raise Unavailable(f"the DNS does not tell about {name}")
        return self.txt.get(name, [])

    async def addresses(self, name: str) -> Sequence[str]:
        if self.down:
            raise Unavailable(f"the DNS does not tell about {name}")
        return self.names.get(name, [])

    async def says(self, address: str, host: str, path: str) -> str:
        self.asked.append(address)
        return self.router.answers.get((host, path), "") if address in self.own else ""

    def own_addresses(self) -> Sequence[str]:
        return self.own


class FakeBuilder:
    """Gives `image` for every Source, or fails with `refuse`. `built` are the commits, in order, `previous` the last
    Image that layers could be taken over from."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.refuse: HostdError | None = None
        self.built: list[str] = []
        self.previous: Image | None = None

    async def build(
        self, source: Source, app: App, env: Mapping[str, str], previous: Image | None, transcript: Transcript
    ) -> Image:
        transcript.step("Building")
        if self.refuse:
            raise self.refuse
        self.built.append(source.commit)
        self.previous = previous
        return self.image

    async def collect(self, app: App, kept: Sequence[Image]) -> None:
        return None


def static_image(directory: Path) -> Image:
    """An Image that is one static page in `directory`, which is made."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "index.html").write_text("hello\n")
    trees = (Tree("11", "/app", (str(directory),)),)
    static = StaticSite("")
    return Image(image_digest(trees, {}, (), static), trees, {}, (), static, buildpacks=("static 1.0",))


@contextmanager
def platform_in(data: Path, public_url: str = "http://localhost:8081") -> Iterator[Platform]:
    """A Platform with a real store, real repositories and real secrets in `data`, and the fakes above."""
    db = Database.open(data / "hostd.db")
    repositories = Repositories(data / "repositories", data / "apps")
    repositories.open()
    router = FakeRouter()
    try:
        yield Platform(
            data=data,
            db=db,
            repositories=repositories,
            builder=FakeBuilder(static_image(data / "site")),
            engine=FakeEngine(),
            router=router,
            world=FakeWorld(router),
            authority=None,
            secrets=Secrets.open(data / "key"),
            names=Names("localhost", 8080, None, public_url, ssh_port=2222),
            now=lambda: datetime.now(UTC),
            limits=Limits(),
            builds=asyncio.Semaphore(2),
            note=LogBook(data / "logs").add,
        )
    finally:
        db.close()
