"""Buildpack and Group: the nouns of Cloud Native Buildpacks, and the files that describe them.

Source of the rules: buildpack.toml, order.toml (Buildpack API 0.12) and project.toml (project descriptor 0.2).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hostd.errors import BuildFailed
from hostd.model import toml
from hostd.model.names import shown

OLDEST_API, NEWEST_API = (0, 7), (0, 12)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9./-]{0,99}")
_RESERVED = {"app", "config", "generated", "sbom"}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


@dataclass(frozen=True, slots=True)
class Member:
    """A Buildpack's place in a Group."""

    id: str
    version: str = ""
    optional: bool = False


Group = tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Buildpack:
    """What a buildpack.toml says. One with an `order` is made of others and has no programs of its own."""

    id: str
    version: str
    api: tuple[int, int] = NEWEST_API
    clear_env: bool = False
    order: tuple[Group, ...] = ()
    targets: tuple[tuple[str, str], ...] = ()  # (os, arch); empty text is any
    looks_for: tuple[str, ...] = ()  # the only files whose presence its detection depends on, and
    reads: tuple[str, ...] = ()  # those whose content it does; both empty: it may depend on anything

    @property
    def label(self) -> str:
        """`python 1.0.0`."""
        return f"{self.id} {self.version}"

    @property
    def directory(self) -> str:
        """The id as the name of a directory; ids hold no `_`, so no two are the same."""
        return self.id.replace("/", "_")

    def runs_on(self, system: str, architecture: str) -> bool:
        """Whether a target names this machine; no targets at all means any Linux."""
        targets = self.targets or (("linux", ""),)
        return any(os in ("", system) and arch in ("", architecture) for os, arch in targets)


@dataclass(frozen=True, slots=True)
class Project:
    """What a project.toml says: buildpacks to use instead of detection's, variables for the Build."""

    buildpacks: tuple[Mapping[str, str], ...] = ()  # keys id, version, uri
    env: tuple[tuple[str, str], ...] = ()


def parse_buildpack(data: bytes, file: str) -> Buildpack:
    """The Buildpack in a buildpack.toml called `file` in messages. Raises BuildFailed."""
    tables = toml.parse(data, file)
    about = toml.table(tables, "buildpack", file)
    identity, version = toml.text(about, "id", file), toml.text(about, "version", file)
    if identity in _RESERVED:
        raise BuildFailed(f"{file}: the id {identity} is reserved")
    if not _ID.fullmatch(identity) or ".." in identity:
        raise BuildFailed(
            f"{file}: {shown(identity)} is not an id for a buildpack: letters, digits, . / and -"
        )
    return Buildpack(
        id=identity,
        version=version or "0.0.0",
        api=_api(toml.text(tables, "api", file), file),
        clear_env=about.get("clear-env") is True,
        order=_order(tables, file),
        targets=tuple(
            (toml.text(target, "os", file), toml.text(target, "arch", file))
            for target in toml.tables(tables, "targets", file)
        ),
        looks_for=_names(tables, "detect-files", file),
        reads=_names(tables, "detect-content", file),
    )


def parse_order(data: bytes, file: str) -> tuple[Group, ...]:
    """The Groups of an order.toml, the first to try first. Raises BuildFailed."""
    return _order(toml.parse(data, file), file)


def parse_project(data: bytes) -> Project:
    """The Project in a project.toml, of schema 0.2 or the older one. Raises BuildFailed."""
    file = "project.toml"
    tables = toml.parse(data, file)
    io = toml.table(toml.table(tables, "io", file), "buildpacks", file)
    old = toml.table(tables, "build", file)
    chosen = toml.tables(io, "group", file) or toml.tables(old, "buildpacks", file)
    variables = toml.tables(toml.table(io, "build", file), "env", file) or toml.tables(old, "env", file)
    return Project(
        tuple({key: toml.text(entry, key, file) for key in ("id", "version", "uri")} for entry in chosen),
        tuple((_variable(entry, file), toml.text(entry, "value", file)) for entry in variables),
    )


def _names(tables: Mapping[str, Any], key: str, file: str) -> tuple[str, ...]:
    """A key of hostd's own in the metadata, which the specification leaves to whoever reads it."""
    names = toml.table(tables, "metadata", file).get(key, [])
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def _order(tables: Mapping[str, Any], file: str) -> tuple[Group, ...]:
    return tuple(
        tuple(
            Member(
                toml.text(entry, "id", file), toml.text(entry, "version", file), entry.get("optional") is True
            )
            for entry in toml.tables(group, "group", file)
        )
        for group in toml.tables(tables, "order", file)
    )


def _api(text: str, file: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,4})(?:\.(\d{1,4}))?", text)
    api = (int(match[1]), int(match[2] or 0)) if match else (0, 0)
    if not OLDEST_API <= api <= NEWEST_API:
        raise BuildFailed(f"{file}: buildpack API {shown(text)} is not supported, only 0.7 to 0.12")
    return api


def _variable(entry: Mapping[str, Any], file: str) -> str:
    name = toml.text(entry, "name", file)
    if not _VARIABLE.fullmatch(name) or name.startswith("CNB_"):
        raise BuildFailed(
            f"{file}: {shown(name)} is not a name for a variable: letters, digits and _, not CNB_"
        )
    return name
