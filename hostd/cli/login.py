"""Where one is logged in: `{url, token}` in login.json, readable by its owner only."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from hostd import files
from hostd.errors import Invalid, Unauthorized


class Login(NamedTuple):
    """A server and the Token for it. `url` has no slash at its end."""

    url: str
    token: str


def path(env: Mapping[str, str]) -> Path:
    """The file, in XDG_CONFIG_HOME or ~/.config (XDG Base Directory Specification)."""
    base = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME") or "/") / ".config")
    return Path(base) / "hostd" / "login.json"


def read(env: Mapping[str, str]) -> Login:
    """Raises Unauthorized if nobody is logged in, Invalid for a file that is damaged."""
    file = path(env)
    try:
        data = json.loads(file.read_bytes())
        return Login(str(data["url"]), str(data["token"]))
    except FileNotFoundError as error:
        raise Unauthorized("you are not logged in", hint="run: hostd login URL") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid(f"{file} is damaged", hint="run: hostd login URL") from error


def write(env: Mapping[str, str], login: Login) -> None:
    """Keep `login`; the file is whole or the old one, mode 0600."""
    file = path(env)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.replace(file, json.dumps(login._asdict()).encode(), mode=0o600)


def forget(env: Mapping[str, str]) -> None:
    """Remove the file, if it is there."""
    path(env).unlink(missing_ok=True)
