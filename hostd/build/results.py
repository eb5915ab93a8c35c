"""The files a `bin/build` leaves behind: launch.toml, build.toml, store.toml and one for each layer."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hostd.errors import BuildFailed, Invalid
from hostd.model import toml
from hostd.model.image import ProcessType
from hostd.model.names import check_process_type, shown

LAYER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,99}")
RESERVED = ("build", "launch", "store")
EXECUTION = "production"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as its Buildpack declared it. With no type set it lives no longer than the Build."""

    buildpack: str  # as a directory name
    name: str
    launch: bool
    build: bool
    cache: bool
    metadata: Mapping[str, Any]

    @property
    def path(self) -> str:
        """Below /layers."""
        return f"{self.buildpack}/{self.name}"

    @property
    def ignored(self) -> bool:
        """No type is set."""
        return not (self.launch or self.build or self.cache)


@dataclass(frozen=True, slots=True)
class Launch:
    """What a launch.toml says; `default` is the process type that gets the Route."""

    processes: tuple[ProcessType, ...] = ()
    default: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def check_layer_name(name: str, buildpack: str) -> str:
    """`name`, if a layer may have it: it becomes a directory. Raises BuildFailed."""
    if not LAYER_NAME.fullmatch(name) or name in RESERVED:
        raise BuildFailed(
            f"buildpack {buildpack} made a layer {shown(name)}: letters, digits and _ . + @ -, and not {RESERVED}"
        )
    return name


def parse_layer(data: bytes, buildpack: str, name: str) -> Layer:
    """The Layer that a `<layer>.toml` declares. Raises BuildFailed."""
    file = f"{buildpack}/{name}.toml"
    tables = toml.parse(data, file)
    types, metadata = toml.table(tables, "types", file), toml.table(tables, "metadata", file)
    launch, build, cache = (types.get(kind) is True for kind in ("launch", "build", "cache"))
    if not _wanted(metadata, file):
        launch = build = False
    return Layer(buildpack, name, launch, build, cache, _plain(metadata))


def parse_store(data: bytes, buildpack: str) -> Mapping[str, Any]:
    """The metadata of a store.toml. Raises BuildFailed."""
    file = f"{buildpack}/store.toml"
    metadata: Mapping[str, Any] = _plain(toml.table(toml.parse(data, file), "metadata", file))
    return metadata


def parse_unmet(data: bytes, buildpack: str) -> frozenset[str]:
    """The names that a build.toml leaves to later buildpacks. Raises BuildFailed."""
    file = f"{buildpack}/build.toml"
    return frozenset(
        toml.text(entry, "name", file) for entry in toml.tables(toml.parse(data, file), "unmet", file)
    )


def parse_launch(data: bytes, buildpack: str) -> Launch:
    """What a launch.toml says. Commands may be lists, or lines as before Buildpack API 0.9. Raises BuildFailed."""
    file = f"{buildpack}/launch.toml"
    tables = toml.parse(data, file)
    entries = [entry for entry in toml.tables(tables, "processes", file) if _wanted(entry, file)]
    defaults = [toml.text(entry, "type", file) for entry in entries if entry.get("default") is True]
    return Launch(
        tuple(_process(entry, file) for entry in entries),
        defaults[-1] if defaults else "",
        {
            toml.text(label, "key", file): toml.text(label, "value", file)
            for label in toml.tables(tables, "labels", file)
        },
    )


def merged(launches: Sequence[Launch]) -> Launch:
    """All of them as one: of two processes or labels with the same name the later wins."""
    processes: dict[str, ProcessType] = {}
    labels: dict[str, str] = {}
    default = ""
    for launch in launches:
        names = {process.name for process in launch.processes}
        default = launch.default or ("" if default in names else default)
        processes |= {process.name: process for process in launch.processes}
        labels |= launch.labels
    return Launch(tuple(processes.values()), default, labels)


def _process(entry: Mapping[str, Any], file: str) -> ProcessType:
    try:
        name = check_process_type(toml.text(entry, "type", file))
    except Invalid as error:
        raise BuildFailed(f"{file}: {error.message}") from error
    arguments = toml.texts(entry, "args", file)
    command = entry.get("command")
    if isinstance(command, str):
        # direct = false was a line for a shell; its args came behind it.
        direct = entry.get("direct") is True
        argv = (command, *arguments) if direct else ("sh", "-c", f'{command} "$@"', name, *arguments)
    else:
        argv = (*toml.texts(entry, "command", file), *arguments)
    if not argv or not argv[0]:
        raise BuildFailed(f"{file}: process {name} has no command")
    directory = toml.text(entry, "working-dir", file) or "/app"
    return ProcessType(name, argv, directory if directory.startswith("/") else f"/app/{directory}")


def _wanted(table: Mapping[str, Any], file: str) -> bool:
    environments = toml.texts(table, "exec-env", file)
    return not environments or EXECUTION in environments or "*" in environments


def _plain(value: Any) -> Any:
    """Metadata as JSON can hold it: dates and times become texts."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | bool | int | float) else str(value)
