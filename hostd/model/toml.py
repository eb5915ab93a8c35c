"""TOML as hostd reads it from people and buildpacks, and as it writes it back for buildpacks.

What is read may be hostile: callers cap its size, and every way the parser can fail becomes a BuildFailed.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from hostd.errors import BuildFailed

DEPTH_LIMIT = 32
_TOO_DEEP = f"nested deeper than {DEPTH_LIMIT}"
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SPECIAL = re.compile(r'[\x00-\x1f\x7f"\\\ud800-\udfff]')


def parse(data: bytes, file: str) -> dict[str, Any]:
    """The tables in `data`. A byte order mark is accepted. Raises BuildFailed as `FILE: what (at line N, column M)`."""
    try:
        content = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BuildFailed(f"{file}: not UTF-8") from error
    except ValueError as error:  # also a number of more than 4,300 digits
        raise BuildFailed(f"{file}: {_cut(str(error))}") from error
    except RecursionError as error:
        raise BuildFailed(f"{file}: {_TOO_DEEP}") from error
    if _deeper_than(DEPTH_LIMIT, content):
        raise BuildFailed(f"{file}: {_TOO_DEEP}")
    return content


def text(table: Mapping[str, Any], key: str, file: str) -> str:
    """The text at `key`, "" if it is not there. Raises BuildFailed for another type or a NUL character."""
    value = table.get(key, "")
    if not isinstance(value, str) or "\0" in value:
        raise BuildFailed(f"{file}: {key} is a text in quotes")
    return value


def texts(table: Mapping[str, Any], key: str, file: str) -> tuple[str, ...]:
    """The list of texts at `key`, empty if it is not there. Raises BuildFailed for anything else."""
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
        raise BuildFailed(f"{file}: {key} is a list of texts in quotes")
    return tuple(value)


def table(tables: Mapping[str, Any], key: str, file: str) -> Mapping[str, Any]:
    """The table at `key`, empty if it is not there. Raises BuildFailed for another type."""
    value = tables.get(key, {})
    if not isinstance(value, dict):
        raise BuildFailed(f"{file}: {key} is a table: write [{key}]")
    return value


def tables(table: Mapping[str, Any], key: str, file: str) -> Sequence[Mapping[str, Any]]:
    """The list of tables at `key`, empty if it is not there. Raises BuildFailed for another type."""
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BuildFailed(f"{file}: {key} is a list of tables: write [[{key}]]")
    return value


def write(content: Mapping[str, Any]) -> str:
    """`content` as TOML, one `key = value` to a line, so that shell scripts can read it too."""
    return "\n".join(_lines(content, ())) + "\n"


def _deeper_than(limit: int, value: object) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return limit == 0 or any(_deeper_than(limit - 1, item) for item in inner)


def _lines(content: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"[{'.'.join(map(_key, path))}]"] if path else []
    lines += [
        f"{_key(name)} = {_value(value)}" for name, value in content.items() if not isinstance(value, Mapping)
    ]
    for name, value in content.items():
        if isinstance(value, Mapping):
            lines += _lines(value, (*path, name))
    return lines


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value)  # a date or a time


def _string(value: str) -> str:
    return '"' + _SPECIAL.sub(_escaped, value) + '"'


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    if character in '"\\':
        return "\\" + character
    return "\\uFFFD" if "\ud800" <= character <= "\udfff" else f"\\u{ord(character):04X}"


def _cut(message: str) -> str:
    return message if len(message) <= 200 else message[:199] + "~"
