"""How layers change process environments (Buildpack API 0.12, "Environment"). Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hostd.errors import BuildFailed
from hostd.model.names import shown

BUILD_PATHS = {
    "PATH": "bin",
    "LD_LIBRARY_PATH": "lib",
    "LIBRARY_PATH": "lib",
    "CPATH": "include",
    "PKG_CONFIG_PATH": "pkgconfig",
}
LAUNCH_PATHS = {"PATH": "bin", "LD_LIBRARY_PATH": "lib"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class LayerEnvironment:
    """What of a layer concerns environments.

    `path` is where processes see it; `directories` which of bin, lib, include, pkgconfig it has; `files` the
    contents of `env`, `env.build`, `env.launch` and `env.launch/PROCESS`, by file name.
    """

    path: str
    directories: frozenset[str] = frozenset()
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def processes(self) -> frozenset[str]:
        """The process types for which it has changes of their own."""
        return frozenset(
            kind.removeprefix("env.launch/") for kind in self.files if kind.startswith("env.launch/")
        )


Contributions = Sequence[Sequence[LayerEnvironment]]  # for each buildpack in order, its layers by name


def for_build(
    base: Mapping[str, str], contributions: Contributions, user: Mapping[str, str]
) -> dict[str, str]:
    """What the next `bin/build` gets. `user` wins, but for search paths, where it comes first."""
    env = _applied(base, contributions, BUILD_PATHS, ("env", "env.build"))
    for name, value in user.items():
        env[name] = f"{value}:{env[name]}" if name in BUILD_PATHS and env.get(name) else value
    return env


def for_launch(base: Mapping[str, str], contributions: Contributions, process: str = "") -> dict[str, str]:
    """What processes get; with `process` what that process type gets."""
    kinds = ("env", "env.launch", f"env.launch/{process}") if process else ("env", "env.launch")
    return _applied(base, contributions, LAUNCH_PATHS, kinds)


def _applied(
    base: Mapping[str, str], contributions: Contributions, paths: Mapping[str, str], kinds: Sequence[str]
) -> dict[str, str]:
    env = dict(base)
    for layers in contributions:
        for variable, directory in paths.items():
            found = [f"{layer.path}/{directory}" for layer in layers if directory in layer.directories]
            if found:
                env[variable] = ":".join([*found, *([env[variable]] if env.get(variable) else [])])
        for layer in layers:
            for kind in kinds:
                _change(env, layer.files.get(kind, {}), f"{layer.path}/{kind}")
    return env


def _change(env: dict[str, str], files: Mapping[str, str], where: str) -> None:
    for file, value in sorted(files.items()):
        name, _, action = file.partition(".")
        if not _NAME.fullmatch(name) or "\0" in value:
            raise BuildFailed(f"{where}/{shown(file)[1:-1]} is not a file for a variable of the environment")
        delimiter = files.get(f"{name}.delim", "")
        before = env.get(name, "")
        if action in ("", "override"):
            env[name] = value
        elif action == "default":
            env[name] = before or value
        elif action == "append":
            env[name] = f"{before}{delimiter}{value}" if before else value
        elif action == "prepend":
            env[name] = f"{value}{delimiter}{before}" if before else value
