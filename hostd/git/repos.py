"""The bare repositories, one per App, and the exports of their commits."""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from hostd import command
from hostd.errors import Unavailable
from hostd.git import export
from hostd.git.config import HOOKS, environment
from hostd.git.reading import Reader
from hostd.model.app import App, owner_of
from hostd.model.source import Source

PACKS_LIMIT = 50


class Repositories:
    """Repositories in `root` (0700), exports below `apps`/<app id>/sources (readable by the App's sandbox)."""

    def __init__(self, root: Path, apps: Path) -> None:
        self._root = root
        self._apps = apps

    def open(self) -> None:
        """Make the directories; remove what pushes that were cut off left. Raises Unavailable for a broken gate."""
        hook = HOOKS / "pre-receive"
        if not os.access(hook, os.X_OK):  # git would skip it in silence, and every push would pass
            raise Unavailable(f"{hook} is missing or not executable", hint="reinstall hostd")
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in self._root.glob("*.git/objects/tmp_objdir-incoming-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for leftover in self._root.glob("*.fetching-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for partial in (*self._apps.glob("*/sources/partial-*"), *self._root.glob("*.partial")):
            shutil.rmtree(partial, ignore_errors=True)

    async def create(self, app: App) -> None:
        """An empty repository, whole or not at all. Nothing if there is one."""
        if not self.path(app).exists():
            partial, branch = self._root / f"{app.id}.partial", f"--initial-branch={app.production_branch}"
            argv = ("git", "init", "--bare", "--quiet", branch, "--", str(partial))
            await command.check(command.Command(argv, environment()))
            partial.rename(self.path(app))
        self.sources(app).mkdir(parents=True, exist_ok=True)

    async def set_head(self, app: App, branch: str) -> None:
        """What a clone checks out, and what git itself refuses to delete: the branch that production runs."""
        argv = ("git", "symbolic-ref", "HEAD", f"refs/heads/{branch}")
        await command.check(command.Command(argv, environment({"GIT_DIR": str(self.path(app))})))

    async def remove(self, app: App) -> None:
        """Remove the repository and all exports."""
        await asyncio.to_thread(shutil.rmtree, self.path(app), ignore_errors=True)
        await asyncio.to_thread(shutil.rmtree, self.sources(app), ignore_errors=True)

    def _has(self, app: App, commit: str) -> bool:
        with self.reader(app) as reader:
            return reader.kind(commit) is not None

    def path(self, app: App) -> Path:
        """Where the repository of an App is: by its id, never by a name that came from outside."""
        return self._root / f"{app.id}.git"

    def sources(self, app: App) -> Path:
        """Where the exports of an App are."""
        return self._apps / str(app.id) / "sources"

    @asynccontextmanager
    async def scratch(self, app: App) -> AsyncIterator[Path]:
        """A repository for what is fetched from elsewhere, which sees the App's objects too; gone afterwards."""
        place = self._root / f"{app.id}.fetching-{secrets.token_hex(8)}"
        try:
            words = ("git", "init", "--bare", "--quiet", "--", str(place))
            await command.check(command.Command(words, environment()))
            alternates = place / "objects" / "info" / "alternates"
            alternates.write_text(f"{self.path(app) / 'objects'}\n")
            yield place
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, place, ignore_errors=True))

    def reader(self, app: App, quarantine: Path | None = None) -> Reader:
        """A Reader of the App's repository; close it."""
        return Reader(self.path(app), quarantine)

    async def export(self, app: App, commit: str, quarantine: Path | None = None) -> Source:
        """The tree of `commit` on disk. Raises as `export.export` does."""
        objects = export.Objects(self.path(app), quarantine)
        return await export.export(objects, commit, self.sources(app), owner_of(app.id))

    async def tidy(self, app: App, commit: str | None, kept: Iterable[str]) -> None:
        """For the background, after a push: fold the grown delta of `commit`, drop exports nobody needs, repack when
        many packs. A commit that is still in a push's quarantine is left for the next time."""
        if commit and self._has(app, commit):
            source = await self.export(app, commit)
            await export.fold(export.Objects(self.path(app)), source, self.sources(app), owner_of(app.id))
        await asyncio.to_thread(export.collect, self.sources(app), kept)
        packs = self.path(app) / "objects" / "pack"
        if len(await asyncio.to_thread(lambda: list(packs.glob("*.pack")))) > PACKS_LIMIT:
            argv = ("git", "repack", "--geometric=2", "-d", "-q")
            await command.run(command.Command(argv, environment({"GIT_DIR": str(self.path(app))})))
