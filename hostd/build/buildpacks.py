"""The buildpacks at hand: hostd's own, and those an app brings along by project.toml.

hostd's own lie in one directory: `order.toml`, and a directory with a `buildpack.toml` for each.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hostd.build import source_files
from hostd.build.remembered import Memory
from hostd.errors import BuildFailed
from hostd.model.buildpack import Buildpack, Group, parse_buildpack, parse_order
from hostd.model.names import shown
from hostd.model.task import Bind

INSIDE = "/cnb/buildpacks"
_GIT = re.compile(r"https://[A-Za-z0-9.-]+(:\d{1,5})?/[!-~]+")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A Buildpack and where it is: `directory` in the sandbox, `source` on this machine (None: part of the app)."""

    buildpack: Buildpack
    directory: str
    source: Path | None = None

    @property
    def binds(self) -> tuple[Bind, ...]:
        """What a sandbox must be shown, so that it finds the Buildpack at `directory`."""
        return (Bind(self.source, self.directory),) if self.source else ()


@dataclass(frozen=True, slots=True)
class Shelf:
    """hostd's own buildpacks by id, and the order in which their Groups are tried.

    `memory` has what they said of apps that look the same to them, see remembered.py.
    """

    candidates: Mapping[str, Candidate]
    order: tuple[Group, ...]
    memory: Memory = field(default_factory=Memory)


def read_shelf(directory: Path) -> Shelf:
    """What is in `directory`. Raises BuildFailed naming the file that is wrong, OSError if there is no order.toml."""
    found = [
        own(parse_buildpack(file.read_bytes(), f"{file.parent.name}/buildpack.toml"), file.parent)
        for file in sorted(directory.glob("*/buildpack.toml"))
    ]
    order = parse_order((directory / "order.toml").read_bytes(), "order.toml")
    return Shelf({candidate.buildpack.id: candidate for candidate in found}, order)


def own(buildpack: Buildpack, source: Path) -> Candidate:
    """A Buildpack that lies in `source` on this machine."""
    return Candidate(buildpack, f"{INSIDE}/{buildpack.directory}", source)


def in_app(app: Path, uri: str) -> Candidate:
    """A Buildpack that is part of the app, at the relative path `uri`. Raises BuildFailed."""
    path = uri.removeprefix("./").rstrip("/")
    return Candidate(read_buildpack(app, path), f"/app/{path}")


def read_buildpack(directory: Path, path: str) -> Buildpack:
    """The Buildpack at `path` below `directory`, whose content is a tenant's. Raises BuildFailed."""
    file = f"{path}/buildpack.toml" if path else "buildpack.toml"
    content = source_files.read(directory, file)
    if content is None:
        raise BuildFailed(f"there is no buildpack at {shown(path)}: {file} is missing")
    return parse_buildpack(content, file)


def is_repository(uri: str) -> bool:
    """Whether `uri` of project.toml is to be cloned. Raises BuildFailed for what is neither that nor a path."""
    if _GIT.fullmatch(uri) and not uri.endswith((".tgz", ".tar.gz", ".cnb")):
        return True
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|//|[^/]+@[^/]+:", uri):
        raise BuildFailed(
            f"buildpack uri {shown(uri)} is refused: only a path inside the app or https:// of a git repository",
            hint='name it as in: uri = "https://HOST/OWNER/NAME.git"',
        )
    return False
