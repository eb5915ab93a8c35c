"""Gitea and Forgejo: docs.gitea.com/usage/webhooks, and the API that both have for commit statuses."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from hostd.forges.base import Call, Dialect, Headers, check_hex, other, push_event
from hostd.forges.github import pull_request
from hostd.model.forge import CommitStatus, Event, Progress
from hostd.model.push import ZERO

DESCRIPTION_LIMIT = 255  # characters
STATES = {
    Progress.PENDING: "pending",
    Progress.SUCCESS: "success",
    Progress.FAILURE: "failure",
    Progress.SKIPPED: "warning",
}


def _check(headers: Headers, body: bytes, secret: str, now: datetime) -> None:
    check_hex(headers, "x-gitea-signature", "", body, secret)


def _read(headers: Headers, payload: Mapping[str, Any]) -> Event:
    kind = headers.get("x-gitea-event", "")
    repository = str(payload["repository"]["full_name"])
    if kind == "push":
        return push_event(repository, payload["ref"], payload["after"])
    if kind == "delete" and payload["ref_type"] == "branch":
        return push_event(repository, f"refs/heads/{payload['ref']}", ZERO)
    if kind == "pull_request":
        return pull_request(repository, payload)
    return other(repository)


def _api(repository: str) -> str:
    parts = urlsplit(repository)
    return f"{parts.scheme}://{parts.netloc}/api/v1"


def _status(api: str, path: str, token: str, status: CommitStatus) -> Call:
    body = {
        "state": STATES[status.progress],
        "target_url": status.url,
        "description": status.description[:DESCRIPTION_LIMIT],
        "context": status.context,
    }
    return Call(f"{api}/repos/{path}/statuses/{status.commit}", {"Authorization": f"token {token}"}, body)


GITEA = Dialect(_check, ("x-gitea-delivery",), _read, "refs/pull/{}/head", _api, _status)
