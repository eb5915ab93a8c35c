"""Procfile: a line `name: command` for each process type. Heroku's file, with Dokku's rule for the names."""

import re

from hostd.errors import BuildFailed, Invalid
from hostd.model.image import ProcessType
from hostd.model.names import check_process_type, shown

LINE_LIMIT = 32 * 1024  # characters
TYPES_LIMIT = 64
_ENTRY = re.compile(r"([^:\s][^:]*?)\s*:\s*(.*)")


def parse(data: bytes) -> tuple[ProcessType, ...]:
    """The process types in their order. CRLF, a byte order mark, blank lines and `#` comments are accepted.

    Raises BuildFailed as `Procfile:LINE: rule`.
    """
    processes: dict[str, ProcessType] = {}
    for number, line in enumerate(_text(data).split("\n"), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        process = _entry(number, line)
        if process.name in processes:
            raise _refusal(number, f"{process.name} is there twice")
        if len(processes) == TYPES_LIMIT:
            raise _refusal(number, f"more than {TYPES_LIMIT} process types")
        processes[process.name] = process
    if not processes:
        raise _refusal(1, "no process type in it")
    return tuple(processes.values())


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refusal(1, "UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(1 + data[: error.start].count(b"\n"), "not UTF-8") from error
    if "\0" in text:
        raise _refusal(1 + text[: text.index("\0")].count("\n"), "a NUL character")
    return text


def _entry(number: int, line: str) -> ProcessType:
    if len(line) > LINE_LIMIT:
        raise _refusal(number, f"longer than {LINE_LIMIT} characters")
    match = _ENTRY.fullmatch(line)
    if not match:
        raise _refusal(number, f"{shown(line)} is not `name: command`")
    name, command = match.groups()
    try:
        check_process_type(name)
    except Invalid as error:
        raise _refusal(number, error.message) from error
    if not command:
        raise _refusal(number, f"{name} has no command")
    return ProcessType(name, ("bash", "-c", command))


def _refusal(number: int, rule: str) -> BuildFailed:
    return BuildFailed(f"Procfile:{number}: {rule}", hint="a line looks like: web: gunicorn app:app")
