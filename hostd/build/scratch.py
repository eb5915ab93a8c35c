"""The directories and mounts of one Build. All that sandboxed code writes belongs to the App's owner."""

import contextlib
import itertools
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from hostd import mounts
from hostd.model.task import Bind

MOUNT_OPTIONS_LIMIT = 3500  # bytes; mount(2) takes a page, and the upper and work directories are in it too


class Scratch:
    """`app` and `layers` are the merged views that the sandbox sees at /app and /layers.

    `app_changes` and `layer_changes` hold what was written to them.
    """

    def __init__(self, parent: Path, owner: int) -> None:
        self.directory = parent / secrets.token_hex(8)
        self._owner = owner
        self._mounted = True
        self.app = self.directory / "app"
        self.app_changes = self.directory / "app.upper"
        self.layers = self.directory / "layers"
        self.layer_changes = self.directory / "layers.upper"
        self.results = self.directory / "results"
        self._platform = self.directory / "platform"
        for directory in (self.directory, self.app, self.layers, self.layer_changes):
            directory.mkdir(mode=0o711)
        for directory in (self.app_changes, self.results, self._platform):
            self.own_directory(directory)

    def own_directory(self, path: Path) -> None:
        """Make a directory that the sandbox may write to."""
        path.mkdir(mode=0o755)
        os.chown(path, self._owner, self._owner)

    def mount_app(self, directories: Sequence[Path]) -> None:
        """Show `directories` merged, topmost first, at `app`."""
        self._mount(self.app, directories, self.app_changes)

    def mount_layers(self, directories: Sequence[Path]) -> None:
        """Show `directories` merged at `layers`."""
        self.layer_changes.chmod(0o755)
        self._mount(self.layers, directories or [self._empty()], self.layer_changes)

    def put_layer_file(self, buildpack: str, name: str, content: str) -> None:
        """A file in a Buildpack's part of `layers`, before that is mounted."""
        self._put(self.layer_changes / buildpack / name, content)

    def put_platform(self, env: Mapping[str, str]) -> None:
        """The variables that buildpacks find as files in /platform/env."""
        self.own_directory(self._platform / "env")
        for name, value in env.items():
            self._put(self._platform / "env" / name, value)

    def put_plan(self, content: str) -> None:
        """The plan for the next Buildpack."""
        self._put(self._platform / "plan.toml", content)

    @property
    def detect_binds(self) -> tuple[Bind, ...]:
        """What detection sees."""
        return (
            Bind(self.app, "/app", writable=True),
            Bind(self._platform, "/platform"),
            Bind(self.results, "/cnb/results", writable=True),
        )

    @property
    def build_binds(self) -> tuple[Bind, ...]:
        """What a `bin/build` sees."""
        return (
            Bind(self.app, "/app", writable=True),
            Bind(self.layers, "/layers", writable=True),
            Bind(self._platform, "/platform"),
        )

    def unmount(self) -> None:
        """Until this is done nothing may be moved out of the changes. Takes some milliseconds, but only once."""
        if self._mounted:
            self._mounted = False
            for target in (self.layers, self.app):
                mounts.unmount(target)

    def remove(self) -> None:
        """Unmount and delete all of it."""
        self.unmount()
        discard(self.directory)

    def _empty(self) -> Path:
        empty = self.directory / "empty"
        empty.mkdir(mode=0o711)
        return empty

    def _mount(self, target: Path, lowers: Sequence[Path], upper: Path) -> None:
        work = upper.with_suffix(".work")
        work.mkdir()
        mounts.overlay(target, lowers, upper, work)

    def _put(self, path: Path, content: str) -> None:
        path.unlink(missing_ok=True)
        path.write_text(content, errors="surrogateescape")
        path.chmod(0o600)
        os.chown(path, self._owner, self._owner)


def discard(directory: Path) -> None:
    """Unmount what is mounted below `directory`, and delete it, if it is there."""
    for point in mounts.below(directory):
        mounts.unmount(point)
    with contextlib.suppress(FileNotFoundError):
        _delete(directory)


def _delete(directory: Path) -> None:
    """Also what is nested deeper than recursion and path names go: directories move up before they are emptied."""
    moved = (f"{secrets.token_hex(8)}-{number}" for number in itertools.count())
    while inner := _without_files(directory):
        for path in inner:
            for below in _without_files(path):
                below.rename(directory / next(moved))
            path.rmdir()
    directory.rmdir()


def _without_files(directory: Path) -> list[Path]:
    """The directories in `directory`, once everything else in it is deleted."""
    inner: list[Path] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                inner.append(path)
            else:
                path.unlink()
    return inner


def fitting(directories: Sequence[Path]) -> list[Path]:
    """As many of `directories`, from the first, as one mount can take."""
    fit: list[Path] = []
    room = MOUNT_OPTIONS_LIMIT
    for directory in dict.fromkeys(directories):
        room -= len(os.fsencode(directory)) + 1
        if room < 0:
            break
        fit.append(directory)
    return fit
