"""A place where Lifecycle tests work: an App, its pushed files, buildpacks written in bash, a real sandbox."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hostd import mounts
from hostd.build.lifecycle import Lifecycle
from hostd.model.app import App, owner_of
from hostd.model.image import Image
from hostd.model.source import Source
from hostd.transcript import Transcript
from tests.build.bubblewrap import Bubblewrap


@dataclass(slots=True)
class Yard:
    """`build` builds what `push` and `buildpack` have put here; the lines of the last Build are in `lines`."""

    root: Path
    runner: Bubblewrap
    app: App = field(default_factory=lambda: App(7, "shop", 1, datetime(2026, 11, 25, tzinfo=UTC)))
    lines: list[str] = field(default_factory=list)
    _pushes: int = 0
    _order: list[str] = field(default_factory=list)
    _lifecycle: Lifecycle | None = None

    @property
    def home(self) -> Path:
        """Where everything of the App lies."""
        return self.root / "apps" / str(self.app.id)

    @property
    def lifecycle(self) -> Lifecycle:
        """Made when first used: it reads the buildpacks then."""
        if self._lifecycle is None:
            order = "".join(f"[[order]]\ngroup = [{members}]\n" for members in self._order)
            (self.root / "buildpacks" / "order.toml").write_text(order)
            self._lifecycle = Lifecycle(
                self.root / "apps", self.runner, self.root / "buildpacks", self.root / "toolchains"
            )
        return self._lifecycle

    def buildpack(self, name: str, detect: str, build: str, about: str = "", alone: bool = True) -> None:
        """Put a Buildpack on the shelf; `alone`: and into the order, as a Group of its own."""
        write_buildpack(self.root / "buildpacks" / name, name, detect, build, about)
        if alone:
            self.order(name)

    def order(self, *names: str) -> None:
        """One more Group to try."""
        self._order.append(", ".join(f'{{ id = "{name}" }}' for name in names))

    def push(self, files: Mapping[str, str | Path]) -> Source:
        """The Source of a commit with these files; a Path becomes a symlink."""
        self._pushes += 1
        directory = self.root / "sources" / str(self._pushes)
        directory.mkdir()
        for name, content in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                path.symlink_to(content)
            else:
                path.write_text(content)
                path.chmod(0o755 if content.startswith("#!") else 0o644)
        give(directory, owner_of(self.app.id))
        return Source(str(self._pushes), f"tree{self._pushes}", (directory,))

    async def build(
        self,
        source: Source,
        previous: Image | None = None,
        env: Mapping[str, str] | None = None,
        transcript: Transcript | None = None,
    ) -> Image:
        """Build it, and look after the Build that it left nothing behind."""
        transcript = transcript or Transcript()
        try:
            return await self.lifecycle.build(source, self.app, env or {}, previous, transcript)
        finally:
            self.lines = transcript.lines
            await self.lifecycle.close()
            assert mounts.below(self.root) == []
            assert list((self.home / "build").iterdir()) == []


@contextlib.contextmanager
def opened() -> Iterator[Yard]:
    """A Yard in a directory that every uid can enter; removed afterwards."""
    root = Path(tempfile.mkdtemp(prefix="hostd-build-"))
    root.chmod(0o711)
    for name in ("buildpacks", "toolchains", "sources"):
        (root / name).mkdir()
    try:
        yield Yard(root, Bubblewrap())
    finally:
        for point in mounts.below(root):
            mounts.unmount(point)
        shutil.rmtree(root)


def write_buildpack(directory: Path, name: str, detect: str, build: str, about: str = "") -> None:
    """A Buildpack whose programs are these lines of bash."""
    (directory / "bin").mkdir(parents=True)
    (directory / "buildpack.toml").write_text(
        f'api = "0.12"\n[buildpack]\nid = "{name}"\nversion = "1.0.0"\n{about}\n'
    )
    for program, lines in (("detect", detect), ("build", build)):
        (directory / "bin" / program).write_text(f"#!/usr/bin/env bash\nset -eu -o pipefail\n{lines}\n")
        (directory / "bin" / program).chmod(0o755)


def give(directory: Path, owner: int) -> None:
    """Everything below and with `directory` to `owner`."""
    for path, directories, files in os.walk(directory):
        for name in (".", *directories, *files):
            os.chown(Path(path, name), owner, owner, follow_symlinks=False)


def entries(directory: Path) -> list[str]:
    """The names in `directory`, sorted."""
    return sorted(path.name for path in directory.iterdir())
