"""hostd.toml: the small, optional file in which a pushed app says what cannot be guessed.

Its reference is docs/hostd.reference.toml, which the tests parse.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from hostd.errors import BuildFailed, Invalid
from hostd.model import cron, toml
from hostd.model.canary import LONGEST, CanaryRule
from hostd.model.health import HealthCheck
from hostd.model.image import ProcessType, StaticSite
from hostd.model.names import check_process_type, shown
from hostd.model.terms import Terms

FILE = "hostd.toml"
KEYS = {
    "build": ("command",),
    "processes": (),  # any process type
    "health": (
        "path",
        "expect",
        "timeout_seconds",
        "answer_seconds",
        "liveness",
        "interval_seconds",
        "failures",
    ),
    "static": ("root", "single_page"),
    "canary": ("weight", "seconds", "max_5xx_percent", "max_p95_ms"),
    "cron": cron.KEYS,
    "limits": ("memory_mb", "cpus", "grace_seconds"),  # and a table with these for a process type
}
PER_PROCESS = {"processes": ("command", "overlap"), "limits": KEYS["limits"]}  # tables in these tables
WEB = "web"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What hostd.toml says; empty and None mean that it does not say."""

    build_command: str = ""
    processes: tuple[ProcessType, ...] = ()
    static: StaticSite | None = None
    health: HealthCheck = field(default_factory=HealthCheck)
    terms: Mapping[str, Terms] = field(default_factory=dict)  # by process type; "": of all
    canary: CanaryRule | None = None
    cron_jobs: tuple[cron.CronJob, ...] = ()

    @property
    def labels(self) -> dict[str, str]:
        """What the Rollout needs to know later, as labels of the Image."""
        labels = self.health.labels
        for process, terms in self.terms.items():
            labels |= terms.labels(process)
        if self.cron_jobs:
            labels[cron.LABEL] = cron.to_label(self.cron_jobs)
        return labels | (dict(self.canary.labels) if self.canary else {})


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
            processes=self._processes(),
            static=self._static(),
            health=self._health(),
            terms=self._terms(),
            canary=self._canary(),
            cron_jobs=cron.read_toml(self.tables.get("cron", []), self.lines),
        )

    def _check_keys(self) -> None:
        for table in self.tables:
            if table not in KEYS:
                raise self._refusal("", table, f"there is no table [{table}]", _near(table, KEYS))
            if table == "cron":
                continue
            named = self._process_tables(table)
            for name in named:
                self._check_process_type(table, name)
                self._check_known(f"{table}.{name}", PER_PROCESS[table])
            if table != "processes":
                self._check_known(table, (*KEYS[table], *named))

    def _check_known(self, table: str, known: tuple[str, ...]) -> None:
        for key in self._table(table):
            if key not in known:
                raise self._refusal(table, key, f"there is no key {key} in [{table}]", _near(key, known))

    def _process_tables(self, table: str) -> list[str]:
        """The process types that have a table of their own in `table`."""
        found = self._table(table) if table in PER_PROCESS else {}
        return [name for name, value in found.items() if isinstance(value, dict)]

    def _check_process_type(self, table: str, name: str) -> None:
        try:
            check_process_type(name)
        except Invalid as error:
            raise self._refusal(table, name, error.message) from error

    def _table(self, name: str) -> Mapping[str, Any]:
        """The table of that name, also of one in another: "limits.worker"."""
        table: Any = self.tables
        for part in name.split("."):
            table = table.get(part, {})
            if not isinstance(table, dict):
                raise self._refusal("", name, f"{name} is a table: write [{name}]")
        return dict(table)

    def _processes(self) -> tuple[ProcessType, ...]:
        """Those that a command is given for; of others only the terms are said."""
        tables = self._process_tables("processes")
        given = {
            name: value.get("command") if name in tables else value
            for name, value in self._table("processes").items()
        }
        return tuple(self._process(name, command) for name, command in given.items() if command is not None)

    def _process(self, name: str, command: object) -> ProcessType:
        self._check_process_type("processes", name)
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

    def _health(self) -> HealthCheck:
        default = HealthCheck()
        return HealthCheck(
            path=self._path("path") or default.path,
            expect=self._expected(),
            timeout_seconds=self._number("health", "timeout_seconds", 1, 600) or default.timeout_seconds,
            answer_seconds=self._number("health", "answer_seconds", 1, 60) or default.answer_seconds,
            liveness=self._path("liveness"),
            interval_seconds=self._number("health", "interval_seconds", 1, 3600) or default.interval_seconds,
            failures=self._number("health", "failures", 1, 100) or default.failures,
        )

    def _path(self, key: str) -> str:
        path = self._text("health", key)
        if path and (not path.startswith("/") or len(path) > 1000 or not re.fullmatch(r"[!-~]+", path)):
            raise self._refusal("health", key, "a path starts with / and holds no spaces")
        return path

    def _expected(self) -> str:
        expected = self._text("health", "expect")
        if len(expected) > 1000 or not expected.isprintable():
            raise self._refusal("health", "expect", "one line of at most 1000 characters")
        return expected

    def _terms(self) -> dict[str, Terms]:
        """What [limits], the tables in it and the tables in [processes] say together."""
        terms = {"": self._limits("limits")}
        for name in self._process_tables("limits"):
            terms[name] = self._limits(f"limits.{name}")
        for name in self._process_tables("processes"):
            if not self._overlaps(name):
                terms[name] = replace(terms.get(name, Terms()), overlap="no")
        return {name: each for name, each in terms.items() if each != Terms()}

    def _canary(self) -> CanaryRule | None:
        if "canary" not in self.tables:
            return None
        default, errors = CanaryRule(), "max_5xx_percent"
        given = errors in self._table("canary")
        return CanaryRule(
            weight=self._number("canary", "weight", 1, 99) or default.weight,
            seconds=self._number("canary", "seconds", 1, LONGEST) or default.seconds,
            max_5xx_percent=self._fraction("canary", errors, 0, 100) if given else default.max_5xx_percent,
            max_p95_ms=self._number("canary", "max_p95_ms", 1, 60_000),
        )

    def _limits(self, table: str) -> Terms:
        return Terms(
            memory_mb=self._number(table, "memory_mb", 32, 16384) or 0,
            cpus=self._fraction(table, "cpus", 0.05, 256),
            grace_seconds=self._number(table, "grace_seconds", 1, 300) or 0,
        )

    def _overlaps(self, process: str) -> bool:
        table = f"processes.{process}"
        overlap = self._table(table).get("overlap", True)
        if not isinstance(overlap, bool):
            raise self._refusal(table, "overlap", "true or false, without quotes")
        if process == WEB and not overlap:
            raise self._refusal(table, "overlap", "web has to overlap: requests would fail in between")
        return overlap

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

    def _fraction(self, table: str, key: str, least: float, most: float) -> float:
        value = self._table(table).get(key, 0.0)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or (key in self._table(table) and not least <= value <= most)
        ):
            raise self._refusal(table, key, f"a number from {least} to {most}")
        return float(value)

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
            named = header and (current == f"{table}.{key}" if table else current.split(".")[0] == key)
            if named or (current == table and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*[=.]""", line)):
                return number
        return 1


def _near(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
