"""GitHub: docs.github.com/webhooks (signatures, events) and its REST API for commit statuses."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from hostd.forges.base import Call, Dialect, Headers, check_hex, fork_event, nothing, other, push_event
from hostd.model.forge import CommitStatus, Event, Progress, What

DESCRIPTION_LIMIT = 140  # characters, the API's
STATES = {
    Progress.PENDING: "pending",
    Progress.SUCCESS: "success",
    Progress.FAILURE: "failure",
    Progress.SKIPPED: "error",  # there is none for "not done"
}


def _check(headers: Headers, body: bytes, secret: str, now: datetime) -> None:
    check_hex(headers, "x-hub-signature-256", "sha256=", body, secret)


def _read(headers: Headers, payload: Mapping[str, Any]) -> Event:
    kind = headers.get("x-github-event", "")
    if kind == "ping":
        return Event(What.PING)
    repository = str(payload["repository"]["full_name"])
    if kind == "push":
        return push_event(repository, payload["ref"], payload["after"])
    if kind == "pull_request":
        return pull_request(repository, payload)
    return other(repository)


def pull_request(repository: str, payload: Mapping[str, Any]) -> Event:
    """Gitea sends the same."""
    pull, action = payload["pull_request"], payload["action"]
    head, base = pull["head"], pull["base"]
    if head["repo"] is not None and head["repo"]["full_name"] == base["repo"]["full_name"]:
        return nothing(repository, "its branch is of this repository and deploys by itself")
    if action not in ("opened", "reopened", "synchronize", "synchronized", "closed"):
        return nothing(repository, f"nothing to do for a pull request that was {str(action)[:40]}")
    return fork_event(repository, payload["number"], str(head["ref"]), head["sha"], closed=action == "closed")


def _api(repository: str) -> str:
    parts = urlsplit(repository)
    return (
        "https://api.github.com"
        if parts.hostname == "github.com"
        else f"{parts.scheme}://{parts.netloc}/api/v3"
    )


def _status(api: str, path: str, token: str, status: CommitStatus) -> Call:
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {token}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    body = {
        "state": STATES[status.progress],
        "target_url": status.url,
        "description": status.description[:DESCRIPTION_LIMIT],
        "context": status.context,
    }
    return Call(f"{api}/repos/{path}/statuses/{status.commit}", headers, body)


GITHUB = Dialect(_check, ("x-github-delivery",), _read, "refs/pull/{}/head", _api, _status)
