"""hostd.toml: the small, optional file in which a pushed app says what cannot be guessed.

Its reference is docs/hostd.reference.toml, which the tests parse.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from hostd.errors import BuildFailed, Invalid
from hostd.model import toml
from hostd.model.image import ProcessType, StaticSite
from hostd.model.names import check_process_type, shown

FILE = "hostd.toml"
KEYS = {
    "build": ("command",),
    "processes": (),  # any process type
    "health": ("path", "timeout_seconds"),
    "static": ("root", "single_page"),
    "limits": ("memory_mb",),
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What hostd.toml says; empty and None mean that it does not say."""

    build_command: str = ""
    processes: tuple[ProcessType, ...] = ()
    static: StaticSite | None = None
    health_path: str = ""
    health_timeout_seconds: int | None = None
    memory_mb: int | None = None

    @property
    def labels(self) -> dict[str, str]:
        """What the Rollout needs to know later, as labels of the Image."""
        wanted = {
            "hostd.health.path": self.health_path,
            "hostd.health.timeout-seconds": self.health_timeout_seconds,
            "hostd.limits.memory-mb": self.memory_mb,
        }
        return {name: str(value) for name, value in wanted.items() if value}


def parse(data: bytes) -> Manifest:
    """The Manifest in `data`. Raises BuildFailed as `hostd.toml:LINE: rule`."""
    return _Reader(data).manifest()


def static_site(root: str, single_page: bool) -> StaticSite:
    """A StaticSite with its root in the plainest form, "." for /app itself. Raises BuildFailed."""
    path = PurePosixPath(root)
    if path.is_absolute() or ".." in path.parts or not root.isprintable() or len(root) > 500:
        raise BuildFailed(f"the static root {shown(root)} is not a directory inside the app")
    return StaticSite(str(path), single_page)


class _Reader:
    """The tables and the text, for errors that name a line."""

    def __init__(self, data: bytes) -> None:
        self.tables = toml.parse(data, FILE)
        self.lines = data.decode("utf-8-sig").splitlines()

    def manifest(self) -> Manifest:
        self._check_keys()
        return Manifest(
            build_command=self._text("build", "command"),
            processes=tuple(
                self._process(name, command) for name, command in self._table("processes").items()
            ),
            static=self._static(),
            health_path=self._health_path(),
            health_timeout_seconds=self._number("health", "timeout_seconds", 1, 600),
            memory_mb=self._number("limits", "memory_mb", 32, 16384),
        )

    def _check_keys(self) -> None:
        for table in self.tables:
            if table not in KEYS:
                raise self._refusal("", table, f"there is no table [{table}]", _near(table, KEYS))
            for key in self._table(table):
                if table != "processes" and key not in KEYS[table]:
                    raise self._refusal(
                        table, key, f"there is no key {key} in [{table}]", _near(key, KEYS[table])
                    )

    def _table(self, name: str) -> Mapping[str, Any]:
        table = self.tables.get(name, {})
        if not isinstance(table, dict):
            raise self._refusal("", name, f"{name} is a table: write [{name}]")
        return table

    def _process(self, name: str, command: object) -> ProcessType:
        try:
            check_process_type(name)
        except Invalid as error:
            raise self._refusal("processes", name, error.message) from error
        if isinstance(command, str) and command.strip():
            return ProcessType(name, ("bash", "-c", command))
        if isinstance(command, list) and command and all(isinstance(word, str) and word for word in command):
            return ProcessType(name, tuple(command))
        raise self._refusal("processes", name, "a command is a line or a list of words, and not empty")

    def _static(self) -> StaticSite | None:
        if "static" not in self.tables:
            return None
        single_page = self._table("static").get("single_page", False)
        if not isinstance(single_page, bool):
            raise self._refusal("static", "single_page", "true or false, without quotes")
        try:
            return static_site(self._text("static", "root") or ".", single_page)
        except BuildFailed as error:
            raise self._refusal("static", "root", error.message) from error

    def _health_path(self) -> str:
        path = self._text("health", "path")
        if path and (not path.startswith("/") or len(path) > 1000 or not re.fullmatch(r"[!-~]+", path)):
            raise self._refusal("health", "path", "a path starts with / and holds no spaces")
        return path

    def _text(self, table: str, key: str) -> str:
        value = self._table(table).get(key, "")
        if not isinstance(value, str) or "\0" in value:
            raise self._refusal(table, key, "a text in quotes")
        return value

    def _number(self, table: str, key: str, least: int, most: int) -> int | None:
        value = self._table(table).get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self._refusal(table, key, f"a whole number from {least} to {most}")
        return value

    def _refusal(self, table: str, key: str, rule: str, hint: str = "") -> BuildFailed:
        where = f"{FILE}:{self._line(table, key)}"
        return BuildFailed(
            f"{where}: {shown(key)[1:-1]}: {rule}", hint=hint or "see docs/hostd.reference.toml"
        )

    def _line(self, table: str, key: str) -> int:
        """The line that sets the key, or 1 where it is written in a way too clever to find."""
        current = ""
        for number, line in enumerate(self.lines, start=1):
            header = re.match(r"\s*\[+\s*([^\]]*?)\s*\]", line)
            current = header.group(1) if header else current
            named = header and not table and current.split(".")[0] == key
            if named or (current == table and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]""", line)):
                return number
        return 1


def _near(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
