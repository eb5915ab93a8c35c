"""A Platform with an App in it, for tests of the verbs."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from hostd.control.apps import create_app, production_of
from hostd.control.keeper import Keeper
from hostd.control.platform import Platform
from hostd.control.push import accept
from hostd.control.rollout import rollout
from hostd.git.receive import Received
from hostd.model.app import App, Environment, User
from hostd.model.config import ConfigChange, ConfigChanges
from hostd.model.image import Image, ProcessType, image_digest
from hostd.model.instance import InstanceSpec
from hostd.model.log import LogLine
from hostd.model.push import ZERO, RefUpdate
from hostd.model.release import Release, ReleaseState
from hostd.model.route import Route
from hostd.store import releases, users
from hostd.transcript import Transcript
from tests.fakes import FakeEngine
from tests.fakes_control import FakeBuilder, FakeRouter, platform_in

COMMIT = "c" * 40
HOST = "shop.localhost"


def changes_of(changes: Mapping[str, str | None]) -> ConfigChanges:
    """Values as changes of ConfigVars; None: unset."""
    return {name: None if value is None else ConfigChange(value) for name, value in changes.items()}


def image_of(labels: dict[str, str] | None = None, **lines: str) -> Image:
    """An Image with these process types, their lines in the language of FakeEngine; `web` alone if none is given."""
    processes = tuple(
        ProcessType(name, ("sh", "-c", line)) for name, line in (lines or {"web": "serve 200"}).items()
    )
    return Image(image_digest((), {}, processes, None), (), {}, processes, labels=labels or {})


@dataclass
class House:
    """A Platform, the App shop of ada's with its production, what was said, and the clock."""

    platform: Platform
    ada: User
    app: App
    production: Environment
    clock: list[datetime]
    logged: list[LogLine]
    said: Transcript = field(default_factory=Transcript)

    @property
    def engine(self) -> FakeEngine:
        assert isinstance(self.platform.engine, FakeEngine)
        return self.platform.engine

    @property
    def router(self) -> FakeRouter:
        assert isinstance(self.platform.router, FakeRouter)
        return self.platform.router

    @property
    def builder(self) -> FakeBuilder:
        assert isinstance(self.platform.builder, FakeBuilder)
        return self.platform.builder

    @property
    def keeper(self) -> Keeper:
        return self.platform.keepers[self.production.id]

    @property
    def route(self) -> Route:
        return self.router.routes[HOST]

    @property
    def running(self) -> list[str]:
        """`web-v1` of all that runs for production; without what is kept frozen for a rollback."""
        return [f"{spec.process}-v{spec.release}" for spec in self._specs(frozen=False)]

    @property
    def kept_frozen(self) -> list[str]:
        """`web-v1` of what is kept frozen for a rollback."""
        return [f"{spec.process}-v{spec.release}" for spec in self._specs(frozen=True)]

    def _specs(self, *, frozen: bool) -> list[InstanceSpec]:
        engine = self.engine
        former = {each.id for keeper in self.platform.formers.values() for each in keeper.instances}
        lives = [life.instance for life in engine.machine.lives.values() if not life.exit.done()]
        chosen = [each.spec for each in lives if (each.id in former and engine.frozen(each)) is frozen]
        return sorted(chosen, key=lambda spec: f"{spec.process}-v{spec.release}")

    async def release(self, image: Image | None = None) -> Release:
        """The next Release, STARTING."""
        db, config = self.platform.db, self.platform.secrets.encrypt_mapping({})
        now = self.platform.now()
        return await db.call(
            releases.create,
            self.production.id,
            image or image_of(),
            config,
            COMMIT,
            "a push",
            "ada",
            now,
            {},
        )

    async def deploy(self, image: Image | None = None) -> Release:
        """Roll `image` out."""
        return await rollout(self.platform, self.production, await self.release(image), self.said)

    async def stored(self) -> Sequence[Release]:
        """All Releases of production, newest first."""
        decrypt = self.platform.secrets.decrypt_mapping
        return await self.platform.db.read(releases.recent, self.production.id, 100, decrypt)

    async def states(self) -> list[ReleaseState]:
        """Theirs, oldest first."""
        return [release.state for release in reversed(await self.stored())]

    async def settled(self) -> None:
        """Once nothing is under way in the background."""
        while self.platform.background:
            await asyncio.gather(*self.platform.background)

    def commit(self, text: str = "a commit", files: Mapping[str, str] | None = None) -> str:
        """A commit of these files, or none, in the App's repository."""
        entries = [
            f"100644 blob {self.git('hash-object', '-w', '--stdin', given=content)}\t{name}\n"
            for name, content in (files or {}).items()
        ]
        tree = self.git("mktree", given="".join(entries))
        return self.git("commit-tree", tree, "-m", text)

    def tip(self, branch: str) -> str:
        """What the branch points at; ZERO if there is none."""
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}") or ZERO

    async def push(
        self,
        branch: str = "main",
        *options: str,
        said: Transcript | None = None,
        files: Mapping[str, str] | None = None,
    ) -> Transcript:
        """A push of a new commit, accepted as the hook has it accepted, and the ref moved."""
        update = RefUpdate(self.tip(branch), self.commit(branch, files), f"refs/heads/{branch}")
        transcript = said or Transcript()
        received = Received(self.platform.repositories.path(self.app), None, (update,), options)
        async with AsyncExitStack() as held:
            await accept(self.platform, self.app, self.ada, received, transcript, held)
            self.git("update-ref", update.ref, update.new)
        return transcript

    def git(self, *words: str, given: str = "") -> str:
        """What git prints in the App's repository."""
        path = str(self.platform.repositories.path(self.app))
        env = {"PATH": "/usr/bin:/bin"} | {
            f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        return subprocess.run(
            ["git", f"--git-dir={path}", *words],
            check=True,
            env=env,
            capture_output=True,
            text=True,
            input=given,
        ).stdout.strip()

    def end(self, process: str = "web") -> None:
        """End every Instance of `process`, as if it had crashed."""
        for life in self.engine.machine.lives.values():
            if life.instance.spec.process == process:
                life.acting.cancel()


@asynccontextmanager
async def house_in(data: Path, router: FakeRouter | None = None) -> AsyncIterator[House]:
    """A House in `data`; nothing of it runs afterwards."""
    clock, logged = [datetime.now(UTC)], list[LogLine]()
    with platform_in(data) as made:
        platform = replace(made, now=lambda: clock[0], note=logged.append, router=router or made.router)
        ada = await platform.db.call(users.create, "ada", False, clock[0])
        app = await create_app(platform, ada, "shop")
        house = House(platform, ada, app, await production_of(platform, app), clock, logged)
        house.builder.image = image_of()
        yield house
        for keeper in (*platform.keepers.values(), *platform.formers.values()):
            await keeper.let_go()
        await house.settled()
        await house.engine.remove()
