"""Forge: a repository elsewhere (GitHub, GitLab, Gitea) whose pushes deploy an App; Event: what it tells of;
Delivery: one such event on its way to a Release."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from hostd.errors import Invalid
from hostd.model.names import shown

SHOWN_DELIVERIES = 100  # of one App
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\]")
_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+){1,20}/?")
_PLAIN = re.compile(r"[\x21-\x7e]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,1024}")


class Kind(StrEnum):
    """Whose words a Forge speaks; Forgejo speaks Gitea's."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"


@dataclass(frozen=True, slots=True)
class Forge:
    """The repository that an App follows. `id` is in the webhook's URL and cannot be guessed.

    `secret` and `token` are encrypted; `user_id` is in whose name it deploys, `api` the base URL for statuses.
    """

    id: str
    app_id: int
    user_id: int
    kind: Kind
    repository: str
    api: str
    secret: bytes
    token: bytes | None
    created_at: datetime


class What(StrEnum):
    """What an Event tells of. NOTHING is recorded with the reason why nothing is done; the others like PING are not."""

    PING = "ping"
    BRANCH = "push"
    FORK = "pull request"
    FORK_CLOSED = "pull request closed"
    NOTHING = "nothing"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Event:
    """What a webhook says, in our words. `repository` is `owner/name` as the Forge writes it.

    `commit` is what it says, not what is believed: a branch is deployed as the Forge has it by then, so that an old
    event, sent again, cannot bring back an old commit. `number` is a fork's pull request, `note` why nothing is done.
    """

    what: What
    repository: str = ""
    branch: str = ""
    commit: str = ""
    number: int = 0
    note: str = ""


class DeliveryState(StrEnum):
    """The life of a Delivery: waiting (for approval) and queued, then building, then one of the others."""

    WAITING = "waiting"
    QUEUED = "queued"
    BUILDING = "building"
    DEPLOYED = "deployed"
    REMOVED = "removed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One Event of a Forge's and what became of it. `key` is the Forge's own id of it, never taken twice.

    `reason` says why it failed or was skipped, `release` and `url` what runs, `report` how telling the Forge went.
    """

    id: int
    forge_id: str
    app_id: int
    key: str
    what: What
    branch: str
    commit: str
    number: int
    state: DeliveryState
    reason: str
    release: str
    url: str
    report: str
    approved_by: str
    received_at: datetime
    finished_at: datetime | None


class Progress(StrEnum):
    """What a commit's status at the Forge can be."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """What the Forge is told about a commit; `context` is `hostd/production` or `hostd/preview`."""

    commit: str
    progress: Progress
    url: str
    description: str
    context: str


def check_repository(url: str, *, private: bool) -> str:
    """`url`, without a slash at its end, if a repository may be there: https, or http too if `private`.

    Raises Invalid naming the rule.
    """
    hint = "as https://github.com/me/shop.git; for a private one add --token"
    try:
        parts = urlsplit(url)
        port_fits = parts.port != 0
    except ValueError as error:
        raise Invalid(f"{shown(url)} is not the URL of a repository", hint=hint) from error
    if parts.username is not None or parts.password is not None:
        raise Invalid("the URL of a repository holds no name or password", hint="give the token with --token")
    schemes = ("https", "http") if private else ("https",)
    if parts.scheme not in schemes:
        raise Invalid(f"repositories are fetched over {' or '.join(schemes)}, not {shown(url)}", hint=hint)
    host = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
    fits = _HOST.fullmatch(host) and _PATH.fullmatch(parts.path) and not parts.query and not parts.fragment
    if not fits or not port_fits or len(url) > 500 or not _PLAIN.fullmatch(url):  # urlsplit drops line ends
        raise Invalid(f"{shown(url)} is not the URL of a repository", hint=hint)
    return url.rstrip("/")


def path_of(repository: str) -> str:
    """`owner/name` of a repository's URL."""
    return urlsplit(repository).path.strip("/").removesuffix(".git")


def check_token(token: str) -> str:
    """`token`, if it may go into a header. Raises Invalid; never shows it."""
    if not _TOKEN.fullmatch(token):
        raise Invalid("that is not a token of a forge: 1 to 1024 printable ASCII characters without spaces")
    return token


def check_commit(commit: str) -> str:
    """`commit`, if it is the id of one: 40 hex digits (SHA-1). Raises Invalid."""
    if not _COMMIT.fullmatch(commit):
        raise Invalid(f"{shown(commit)} is not the id of a commit: 40 hex digits")
    return commit


def branch_of_fork(number: int) -> str:
    """The branch that a fork's pull request has here, which is also its Preview's name."""
    return f"pr-{number}"
