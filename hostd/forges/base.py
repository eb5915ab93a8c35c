"""Dialect: all that is different between forges; and what their webhooks have in common."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from hostd.errors import HostdError, Invalid, Unauthorized
from hostd.model.forge import CommitStatus, Event, What, check_commit
from hostd.model.names import shown, whole
from hostd.model.push import ZERO, check_branch

Headers = Mapping[str, str]  # names in lower case
KEY_LENGTH = 128  # characters
FORM = "application/x-www-form-urlencoded"
PASTE = "paste the secret that hostd forges connect printed, or connect again for a new one"


@dataclass(frozen=True, slots=True)
class Call:
    """One POST to a forge's API."""

    url: str
    headers: Mapping[str, str]
    body: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of forge speaks.

    `check` raises Unauthorized for a body that the secret's holder did not send; `keys` are the headers that may hold
    a delivery's id, best first; `pull_ref` is where a pull request's commit is, with {} for its number; `status` is
    given the API's base, `owner/name` and the token.
    """

    check: Callable[[Headers, bytes, str, datetime], None]
    keys: tuple[str, ...]
    read: Callable[[Headers, Mapping[str, Any]], Event]
    pull_ref: str
    api: Callable[[str], str]
    status: Callable[[str, str, str, CommitStatus], Call]


def key_of(dialect: Dialect, headers: Headers, body: bytes) -> str:
    """The forge's own id of this delivery; what the body hashes to if it sent none, or one that will not do."""
    for name in dialect.keys:
        if re.fullmatch(r"[\x21-\x7e]+", value := headers.get(name, "")) and len(value) <= KEY_LENGTH:
            return value
    return hashlib.sha256(body).hexdigest()


def event_of(dialect: Dialect, headers: Headers, body: bytes) -> Event:
    """What the delivery says. Raises Invalid for what is not JSON, or lacks what it should have."""
    try:
        form = headers.get("content-type", "").partition(";")[0].strip() == FORM
        payload = json.loads(parse_qs(body.decode())["payload"][0] if form else body)
        event = dialect.read(headers, payload)
        if not whole(event.repository + event.branch + event.note):
            raise ValueError("half of a surrogate pair")
        return event
    except HostdError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(
            f"the body is not what a forge sends ({type(error).__name__})",
            hint="connect with the right --kind: github, gitlab or gitea",
        ) from error


def check_hex(headers: Headers, name: str, prefix: str, body: bytes, secret: str) -> None:
    """The header `name` is `prefix` and the body's HMAC-SHA256 in hex. Raises Unauthorized."""
    given = headers.get(name)
    if given is None:
        raise Unauthorized(f"the signature is missing: there is no {name}", hint=PASTE)
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(given.encode(errors="replace"), f"{prefix}{digest}".encode()):
        raise Unauthorized(f"bad signature: {name} is not of this body and secret", hint=PASTE)


def push_event(repository: str, ref: str, commit: str) -> Event:
    """A ref that moved, or is gone (`commit` ZERO)."""
    if not ref.startswith("refs/heads/"):
        return Event(What.NOTHING, repository, note=f"{shown(ref)} is no branch: only branches deploy")
    branch = check_branch(ref.removeprefix("refs/heads/"))
    return Event(What.BRANCH, repository, branch, "" if commit == ZERO else check_commit(commit))


def fork_event(repository: str, number: int, branch: str, commit: str, *, closed: bool) -> Event:
    """A fork's pull request that was opened, changed or closed."""
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number < 2**31:
        raise Invalid("the pull request has no number")
    what = What.FORK_CLOSED if closed else What.FORK
    return Event(what, repository, branch[:250], check_commit(commit), number)


def nothing(repository: str, note: str) -> Event:
    """An event of pushes or pull requests that changes nothing here."""
    return Event(What.NOTHING, repository, note=note)


def other(repository: str) -> Event:
    """An event that is of neither."""
    return Event(What.OTHER, repository, note="only pushes and pull requests do something")
