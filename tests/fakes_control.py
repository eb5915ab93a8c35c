"""Fakes of what a Platform works with, and a Platform of real parts around them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hostd.control.logs import LogBook
from hostd.control.platform import Names, Platform
from hostd.control.secrets import Secrets
from hostd.engine.base import Report, Task
from hostd.errors import HostdError, Unavailable
from hostd.git.repos import Repositories
from hostd.model.app import App
from hostd.model.image import Image, StaticSite, Tree, image_digest
from hostd.model.instance import Endpoint, Exit, Instance, InstanceSpec, Limits
from hostd.model.log import LogLine, RequestRecord
from hostd.model.route import Route
from hostd.model.source import Source
from hostd.store.database import Database
from hostd.transcript import Transcript


class FakeRouter:
    """A table in memory. `served` is a queue of the requests it is to have served; `refuse` makes `publish` fail."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.served: asyncio.Queue[RequestRecord] = asyncio.Queue()
        self.refuse = ""

    async def publish(self, routes: Sequence[Route]) -> None:
        if self.refuse:
            raise Unavailable(self.refuse)
        self.routes.update({route.host: route for route in routes})

    async def withdraw(self, hosts: Sequence[str]) -> None:
        for host in hosts:
            self.routes.pop(host, None)

    async def table(self) -> Mapping[str, Route]:
        return dict(self.routes)

    async def in_flight(self, endpoints: Sequence[Endpoint]) -> int:
        return 0

    async def requests(self) -> AsyncIterator[RequestRecord]:
        while True:
            yield await self.served.get()


class FakeBuilder:
    """Gives `image` for every Source, or fails with `refuse`. `built` are the commits, in order."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.refuse: HostdError | None = None
        self.built: list[str] = []

    async def build(
        self, source: Source, app: App, env: Mapping[str, str], previous: Image | None, transcript: Transcript
    ) -> Image:
        transcript.step("Building")
        if self.refuse:
            raise self.refuse
        self.built.append(source.commit)
        return self.image

    async def collect(self, app: App, kept: Sequence[Image]) -> None:
        return None


class StillEngine:
    """An engine in which nothing can be started: for what needs one and uses none. `printed` feeds `output`."""

    def __init__(self) -> None:
        self.printed: asyncio.Queue[LogLine] = asyncio.Queue()

    async def open(self) -> Report:
        return Report("still", (), ("everything",))

    async def close(self) -> None:
        return None

    async def start(self, spec: InstanceSpec) -> Instance:
        raise Unavailable("nothing can be started here")

    async def wait(self, instance: Instance) -> Exit:
        return Exit(0)

    async def stop(self, instance: Instance, grace: float) -> bool:
        return True

    async def run(self, task: Task, on_line: Callable[[str], None]) -> Exit:
        raise Unavailable("nothing can be run here")

    async def instances(self) -> Sequence[Instance]:
        return []

    async def output(self) -> AsyncIterator[LogLine]:
        while True:
            yield await self.printed.get()

    def tail(self, instance_id: str, lines: int) -> Sequence[str]:
        return []

    def listening(self, instance: Instance) -> Sequence[str]:
        return []


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
    try:
        yield Platform(
            data=data,
            db=db,
            repositories=repositories,
            builder=FakeBuilder(static_image(data / "site")),
            engine=StillEngine(),
            router=FakeRouter(),
            secrets=Secrets.open(data / "key"),
            names=Names("localhost", "http", 8080, public_url),
            now=lambda: datetime.now(UTC),
            limits=Limits(),
            builds=asyncio.Semaphore(2),
            note=LogBook(data / "logs").add,
        )
    finally:
        db.close()
