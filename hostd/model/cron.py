"""CronJob: a command with a schedule, as `[[cron]]` of hostd.toml and `cron` of app.json have it."""

import json
import re
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from cronsim import CronSim, CronSimError

from hostd.errors import BuildFailed, Invalid
from hostd.model.names import shown, whole

JOBS_LIMIT = 100
UNFINISHED_LIMIT = 10  # Runs of one job, waiting and running, where they may overlap
COMMAND_LIMIT, SCHEDULE_LIMIT = 4096, 200  # characters
TIMEOUT, LONGEST = 3600, 24 * 3600  # seconds
LABEL = "hostd.cron"  # of an Image
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
KEYS = ("schedule", "command", "name", "timezone", "overlap", "timeout_seconds")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")
_RULES = {
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 or SUN-SAT",
}


class Overlap(StrEnum):
    """What becomes of a Run that is due while the one before runs: it is not started, is so too, or takes its place."""

    SKIP = "skip"
    ALLOW = "allow"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class CronJob:
    """What is due when. `timezone` is a name of the IANA database; `timeout_seconds` is 1 to LONGEST."""

    name: str
    schedule: str
    command: str
    timezone: str = "UTC"
    overlap: Overlap = Overlap.SKIP
    timeout_seconds: int = TIMEOUT

    def next_after(self, moment: datetime) -> datetime | None:
        """The first time after `moment` at which it is due, in UTC; None if that is not within 50 years.

        As Debian's cron has it: of an hour that a clock skips, what is due is due at its end; of an hour that a clock
        repeats, only jobs that run every hour or so are due twice.
        """
        local = moment.astimezone(zoneinfo.ZoneInfo(self.timezone))
        found: datetime | None = next(CronSim(_expression(self.schedule), local), None)
        return found.astimezone(UTC) if found else None

    def blocked_by(self, unfinished: int) -> bool:
        """Whether no further Run of it begins while so many have not ended."""
        return unfinished >= (1 if self.overlap is Overlap.SKIP else UNFINISHED_LIMIT)

    @property
    def when(self) -> str:
        """What decides when it is due."""
        return f"{self.schedule} {self.timezone}"

    def __str__(self) -> str:
        zone = "" if self.timezone == "UTC" else f" {self.timezone}"
        return f"{self.name}: {self.schedule}{zone}: {self.command}"


def check_schedule(schedule: str) -> str:
    """`schedule` in its plainest form, if it is five fields or a nickname, and is ever due. Raises Invalid."""
    plain = " ".join(schedule.split())
    if len(plain) > SCHEDULE_LIMIT:
        raise Invalid(f"the schedule is longer than {SCHEDULE_LIMIT} characters")
    if plain.startswith("@") and plain.lower() not in NICKNAMES:
        raise Invalid(f"there is no schedule {shown(plain)}: known are {', '.join(NICKNAMES)}")
    fields = _expression(plain).split(" ")
    if len(fields) != 5:
        raise Invalid(f"{len(fields)} fields; a schedule has 5: minute hour day month weekday")
    for months in ("*", fields[3]):  # of a day that the months never have CronSim says that the day is bad
        try:
            due = next(
                CronSim(" ".join((*fields[:3], months, fields[4])), datetime(2024, 1, 1, tzinfo=UTC)), None
            )
        except CronSimError as error:
            field = str(error).removeprefix("Bad ")
            if field == "day-of-month" and months != "*":
                break
            raise Invalid(f"field {field}: {_RULES.get(field, 'cannot be understood')}") from error
    else:
        if due:
            return plain
    raise Invalid(f"{plain} never fires")


def check_timezone(name: str) -> str:
    """`name`, if it is a time zone's. Raises Invalid."""
    try:
        if not _ZONE.fullmatch(name):
            raise ValueError(name)
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise Invalid(f"unknown time zone {shown(name)}", hint="as: Europe/Berlin") from error
    return name


def read_toml(entries: object, lines: Sequence[str]) -> tuple[CronJob, ...]:
    """The jobs of the tables `[[cron]]`. Raises BuildFailed as `hostd.toml:LINE: rule`."""
    return _read(entries, lambda index, key: f"hostd.toml:{_line(lines, index, key)}", "write [[cron]]")


def read_app_json(data: bytes) -> tuple[CronJob, ...]:
    """The jobs of an app.json. Raises BuildFailed as `app.json: cron N: rule`."""
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise BuildFailed(f"app.json:{error.lineno}: it is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise BuildFailed("app.json is not JSON in UTF-8") from error
    entries = document.get("cron", []) if isinstance(document, dict) else []
    return _read(entries, lambda index, key: f"app.json: cron {index + 1}", "cron is a list of objects")


def to_label(jobs: Sequence[CronJob]) -> str:
    """The jobs as a label of an Image."""
    return json.dumps([asdict(job) for job in jobs])


def jobs_in(labels: Mapping[str, str]) -> tuple[CronJob, ...]:
    """The jobs that an Image with these labels has."""
    return _from_label(labels.get(LABEL, "[]"))


@lru_cache(maxsize=4096)
def _from_label(text: str) -> tuple[CronJob, ...]:
    return tuple(CronJob(**{**facts, "overlap": Overlap(facts["overlap"])}) for facts in json.loads(text))


def _expression(schedule: str) -> str:
    return NICKNAMES.get(schedule.lower(), schedule)


def _read(entries: object, where: Any, hint: str) -> tuple[CronJob, ...]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BuildFailed(f"{where(0, '')}: cron is a list", hint=hint)
    if len(entries) > JOBS_LIMIT:
        raise BuildFailed(f"{where(JOBS_LIMIT, '')}: more than {JOBS_LIMIT} cron jobs")
    jobs: dict[str, CronJob] = {}
    for index, entry in enumerate(entries):
        key = ""
        try:
            for key in entry:
                if key not in KEYS:
                    raise Invalid(f"there is no key {shown(key)}; known: {', '.join(KEYS)}")
            schedule = check_schedule(_text(entry, key := "schedule"))
            command = _command(_text(entry, key := "command"))
            zone = check_timezone(_text(entry, key := "timezone", "UTC"))
            overlap = _overlap(_text(entry, key := "overlap", "skip"))
            seconds = _seconds(entry.get(key := "timeout_seconds", TIMEOUT))
            name = _name(_text(entry, key := "name", ""), command, jobs)
        except Invalid as error:
            raise BuildFailed(
                f"{where(index, key)}: {error.message}", hint=error.hint or "see docs/hostd.reference.toml"
            ) from error
        jobs[name] = CronJob(name, schedule, command, zone, overlap, seconds)
    return tuple(jobs.values())


def _text(entry: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = entry.get(key, default)
    if value is None:
        raise Invalid(f"a cron job needs a {key}")
    if not isinstance(value, str):
        raise Invalid(f"{key} is a text in quotes")
    return value


def _command(command: str) -> str:
    if not command.strip():
        raise Invalid("the command is empty")
    if len(command) > COMMAND_LIMIT:
        raise Invalid(f"the command is longer than {COMMAND_LIMIT} characters")
    if any(character < " " and character != "\t" for character in command) or "\x7f" in command:
        raise Invalid("the command is one line without control characters")
    if not whole(command):
        raise Invalid("the command holds half of a surrogate pair")
    return command.strip()


def _overlap(value: str) -> Overlap:
    try:
        return Overlap(value)
    except ValueError as error:
        raise Invalid(f"overlap is one of: {', '.join(Overlap)}") from error


def _seconds(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LONGEST:
        raise Invalid(f"timeout_seconds is a whole number from 1 to {LONGEST}")
    return value


def _name(name: str, command: str, taken: Mapping[str, CronJob]) -> str:
    """The one given, else a readable one from the command that no other job has."""
    if name:
        if not _NAME.fullmatch(name):
            raise Invalid(f"{shown(name)} is not a name: a-z, 0-9 and -, at most 40")
        if name in taken:
            raise Invalid(f"{name} is there twice")
        return name
    plain = re.sub(r"[^a-z0-9]+", "-", command.lower()).strip("-")[:36].strip("-") or "job"
    return next(
        each for n in range(1, JOBS_LIMIT + 1) if (each := f"{plain}-{n}" if n > 1 else plain) not in taken
    )


def _line(lines: Sequence[str], index: int, key: str) -> int:
    """The line of `key` in the table [[cron]] of that index, of its header if it is not found there, else 1."""
    headers = [number for number, line in enumerate(lines) if re.match(r"\s*\[\[\s*cron\s*\]\]", line)]
    if index >= len(headers):
        return 1
    for number in range(headers[index] + 1, len(lines)):
        if re.match(r"\s*\[", lines[number]):
            break
        if key and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*=""", lines[number]):
            return number + 1
    return headers[index] + 1
