"""Run: one command that runs to its end in a fresh Instance of a Release, as a person or a schedule asked for."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hostd.errors import Invalid
from hostd.model.image import Image, ProcessType
from hostd.model.instance import Exit
from hostd.model.names import shown

LINE_LIMIT = 32 * 1024  # bytes of a command, and of a variable
ENV_LIMIT = 100  # variables
OUTPUT_KEPT = 64 * 1024  # bytes of the end of what a Run printed
RUN = "run"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_RESERVED = frozenset({"PORT", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"})


class RunState(StrEnum):
    """waiting for its turn -> running -> ended. `waiting` outlives hostd: what was asked for is done, and once."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Of `hostd run`: how many at once of each App, and after how many seconds one is ended."""

    at_once: int = 5
    seconds: int = 24 * 3600


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for: words, variables beside the Release's own, and which Release (None: the live one)."""

    words: tuple[str, ...]
    env: Mapping[str, str]
    release: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One Run. `job` names the cron job it is of, "" for `hostd run`; `due_at` is when a schedule wanted it.

    `exit` is None until it has ended. `seconds` is its time limit; `author` who asked, "" for a schedule.
    """

    id: int
    environment_id: int
    job: str
    command: str
    author: str
    due_at: datetime | None
    release: int
    seconds: int
    attached: bool
    state: RunState
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    exit: Exit | None

    @property
    def process(self) -> str:
        """What its lines are from: `run`, or `cron.NAME`. No ProcessType has a dot."""
        return process_of(self.job)

    @property
    def name(self) -> str:
        """`run.57`, `cron.report.58`."""
        return f"{self.process}.{self.id}"


def process_of(job: str) -> str:
    """What the lines of a Run are from."""
    return f"cron.{job}" if job else RUN


def line_of(words: Sequence[str], image: Image) -> str:
    """The line for bash that `words` stand for. One word is a line already; several are these very words.

    A process type as the first word stands for its command, as on Heroku. Raises Invalid.
    """
    if not words or not any(words) or not words[0].strip():
        raise Invalid("there is no command", hint="as: hostd run python manage.py migrate")
    line = words[0] if len(words) == 1 else shlex.join(words)
    first, _, rest = words[0].partition(" ") if len(words) == 1 else (words[0], "", shlex.join(words[1:]))
    if process := image.process(first):
        line = f"{_line(process)} {rest}".rstrip()
    return check_line(line)


def check_line(line: str) -> str:
    """`line`, if bash can be given it. Raises Invalid."""
    if "\0" in line:
        raise Invalid("the command holds a NUL character")
    if len(line.encode()) > LINE_LIMIT:
        raise Invalid(f"the command is longer than {LINE_LIMIT} bytes")
    return line


def check_env(env: Mapping[str, str]) -> None:
    """Raises Invalid naming the variable and the rule; never its value."""
    if len(env) > ENV_LIMIT:
        raise Invalid(f"more than {ENV_LIMIT} variables")
    for name, value in env.items():
        if not _NAME.fullmatch(name):
            raise Invalid(
                f"{shown(name)} is not a name for a variable: letters, digits and _, no digit first"
            )
        if name in _RESERVED or name.startswith("HOSTD_"):
            raise Invalid(f"{name} is reserved: hostd or the system sets it")
        if "\0" in value or len(value.encode()) > LINE_LIMIT:
            raise Invalid(f"the value of {name} is longer than {LINE_LIMIT} bytes or holds a NUL character")


def kept_output(lines: Sequence[str]) -> str:
    """The end of what a Run printed, whole lines where that leaves any, at most OUTPUT_KEPT bytes."""
    data = "".join(f"{line}\n" for line in lines).encode()
    if len(data) > OUTPUT_KEPT:
        data = data[-OUTPUT_KEPT:]
        data = data.partition(b"\n")[2] or data
    return data.decode(errors="replace")


def _line(process: ProcessType) -> str:
    """A line of a Procfile comes as ("bash", "-c", line)."""
    match process.command:
        case ("bash" | "sh", "-c", line):
            return line
        case words:
            return shlex.join(words)
