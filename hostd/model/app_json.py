"""app.json: what a pushed app says about itself in Heroku's format (devcenter app-json-schema). Only `env` is read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hostd.errors import Invalid
from hostd.model.names import shown, whole

FILE = "app.json"
SIZE_LIMIT = 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class WantedVar:
    """A ConfigVar that the app wants to begin with. With neither a value nor `generate` a person has to set it."""

    name: str
    value: str | None = None
    generate: bool = False
    required: bool = True
    description: str = ""


def wanted_vars(data: bytes) -> Sequence[WantedVar]:
    """The `env` of an app.json. Raises Invalid saying what is wrong in it."""
    if len(data) > SIZE_LIMIT:
        raise Invalid(f"{FILE} is too large (at most {SIZE_LIMIT // 1024} KiB)")
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise Invalid(f"{FILE}:{error.lineno}: it is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # also a number of more than 4300 digits
        raise Invalid(f"{FILE} is not JSON in UTF-8") from error
    if not isinstance(document, dict):
        raise Invalid(f"{FILE} is not an object in braces")
    env = document.get("env", {})
    if not isinstance(env, dict):
        raise Invalid(f"{FILE}: env is not an object in braces")
    return [_wanted(name, entry) for name, entry in env.items()]


def _wanted(name: str, entry: object) -> WantedVar:
    if isinstance(entry, str):
        return WantedVar(name, entry)
    if not isinstance(entry, dict):
        raise Invalid(f"{FILE}: env {shown(name)}: a text, or an object in braces")
    value, generator = _text(name, entry, "value"), _text(name, entry, "generator")
    required = entry.get("required", True)
    if not isinstance(required, bool):
        raise Invalid(f"{FILE}: env {shown(name)}: required is true or false")
    if generator not in (None, "secret"):
        raise Invalid(f"{FILE}: env {shown(name)}: the only generator is secret")
    description = _text(name, entry, "description") or ""
    return WantedVar(name, value, generator is not None, required, description)


def _text(name: str, entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise Invalid(f"{FILE}: env {shown(name)}: {key} is a text in quotes")
    if value and not whole(value):
        raise Invalid(f"{FILE}: env {shown(name)}: {key} holds half of a surrogate pair")
    return value
