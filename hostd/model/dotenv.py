"""Dotenv files: lines `NAME=value`, as docker compose, Foreman and their like read them. What `write` wrote, `parse`
reads back byte for byte.

Values: bare (to the end of the line or a ` #`), 'as it is', or "with \\n, \\t, \\r, \\", \\\\ and \\$"; quoted ones may
go over several lines. `export`, comments and empty lines are skipped. Nothing is ever substituted.
"""

import re
from collections.abc import Mapping

from hostd.errors import Invalid
from hostd.model.config import check_name, check_value
from hostd.model.names import shown

SIZE_LIMIT = 1024 * 1024  # bytes
_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_HEAD = re.compile(r"[ \t]*(?:export[ \t]+)?([^\s=#'\"]*)[ \t]*(=?)[ \t]*")
_QUOTED = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_BARE = re.compile(r"(?:(?![ \t]#)[^\n])*")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,-]*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def parse(data: bytes) -> dict[str, str]:
    """Names and values, the last one of a name winning. Raises Invalid as `line N: rule`, without the value."""
    if len(data) > SIZE_LIMIT:
        raise Invalid(f"the file is too large (at most {SIZE_LIMIT // 1024} KiB)")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise Invalid(f"line {data[: error.start].count(10) + 1}: it is not UTF-8") from error
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        blank = _BLANK.match(text, at)
        if blank:
            at = blank.end()
            continue
        try:
            name, value, at = _entry(text, at)
        except Invalid as error:
            line = text.count("\n", 0, at) + 1
            raise Invalid(f"line {line}: {error.message}", hint=error.hint) from error
        found[name] = value
    return found


def write(values: Mapping[str, str]) -> str:
    """The text of a dotenv file."""
    return "".join(f"{name}={_written(value)}\n" for name, value in values.items())


def _entry(text: str, at: int) -> tuple[str, str, int]:
    """The name and value that begin at `at`, and where the next line begins."""
    head = _HEAD.match(text, at)
    assert head
    name, equals = head.groups()
    if not equals:
        line = text[at:].partition("\n")[0].strip()
        raise Invalid(f"{shown(line[:20])} has no =", hint="as: NAME=value")
    check_name(name)
    at = head.end()
    if text[at : at + 1] in ("'", '"'):
        quoted = _QUOTED.match(text, at)
        if not quoted:
            raise Invalid(f"the quote of {name} is not closed")
        end = _BLANK.match(text, quoted.end())
        if not end:
            raise Invalid(f"there is more behind the quoted value of {name}")
        value = quoted[1] if quoted[1] is not None else _unescaped(quoted[2])
        at = end.end()
    else:
        bare = _BARE.match(text, at)
        assert bare
        value = bare[0].strip(" \t")
        at = (text.find("\n", bare.end()) + 1) or len(text)
    check_value(name, value)
    return name, value, at


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.DOTALL)


def _written(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    if "'" not in value and "\r" not in value:
        return f"'{value}'"
    escaped = re.sub(r'[\\"$]', lambda found: f"\\{found[0]}", value)
    return f'"{escaped}"'.replace("\r", "\\r").replace("\n", "\\n")
