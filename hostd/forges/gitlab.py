"""GitLab: docs.gitlab.com/user/project/integrations/webhooks, and its API for commit statuses.

A webhook proves itself by the secret token as it is, or by a signature as standardwebhooks.com has it (GitLab's signing
token); the secret that hostd makes is fit for both.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from hostd.errors import Unauthorized
from hostd.forges.base import PASTE, Call, Dialect, Headers, fork_event, nothing, other, push_event
from hostd.model.forge import CommitStatus, Event, Progress

SECRET_PREFIX = "whsec_"  # noqa: S105 (how secrets of Standard Webhooks begin)
TOLERANCE = 300.0  # seconds between our clock and a signature's
DESCRIPTION_LIMIT = 255  # characters
ACTIONS = ("open", "reopen", "update", "close", "merge")
STATES = {
    Progress.PENDING: "pending",
    Progress.SUCCESS: "success",
    Progress.FAILURE: "failed",
    Progress.SKIPPED: "canceled",
}


def _check(headers: Headers, body: bytes, secret: str, now: datetime) -> None:
    token, signature = headers.get("x-gitlab-token"), headers.get("webhook-signature")
    if token is None and signature is None:
        raise Unauthorized(
            "the secret is missing: there is neither x-gitlab-token nor webhook-signature", hint=PASTE
        )
    if token is not None and hmac.compare_digest(token.encode(errors="replace"), secret.encode()):
        return
    if signature is None:
        raise Unauthorized("bad secret: x-gitlab-token is another one", hint=PASTE)
    _check_signature(headers, signature, body, secret, now)


def _check_signature(headers: Headers, signature: str, body: bytes, secret: str, now: datetime) -> None:
    stamp = headers.get("webhook-timestamp", "")
    signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode(errors="replace") + body
    digest = hmac.new(_signing_key(secret), signed, hashlib.sha256).digest()
    wanted = b"v1," + base64.b64encode(digest)
    given = [each.encode(errors="replace") for each in signature.split(" ")]
    if not any([hmac.compare_digest(each, wanted) for each in given]):
        raise Unauthorized("bad signature: webhook-signature is not of this body and secret", hint=PASTE)
    if not re.fullmatch(r"[0-9]{1,15}", stamp) or abs(int(stamp) - now.timestamp()) > TOLERANCE:
        raise Unauthorized("the signature is too old, or from the future", hint="check both machines' clocks")


def _signing_key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        return secret.encode()


def _read(headers: Headers, payload: Mapping[str, Any]) -> Event:
    repository = str(payload["project"]["path_with_namespace"])
    kind = payload["object_kind"]
    if kind in ("push", "tag_push"):
        return push_event(repository, payload["ref"], payload["after"])
    if kind == "merge_request":
        return _merge_request(repository, payload["object_attributes"])
    return other(repository)


def _merge_request(repository: str, merge: Mapping[str, Any]) -> Event:
    action = merge.get("action", "")
    if merge["source_project_id"] == merge["target_project_id"]:
        return nothing(repository, "its branch is of this repository and deploys by itself")
    if action not in ACTIONS or (action == "update" and "oldrev" not in merge):
        return nothing(repository, "nothing of the merge request's commits changed")
    closed = action in ("close", "merge")
    return fork_event(
        repository, merge["iid"], str(merge["source_branch"]), merge["last_commit"]["id"], closed=closed
    )


def _api(repository: str) -> str:
    parts = urlsplit(repository)
    return f"{parts.scheme}://{parts.netloc}/api/v4"


def _status(api: str, path: str, token: str, status: CommitStatus) -> Call:
    body = {
        "state": STATES[status.progress],
        "target_url": status.url,
        "description": status.description[:DESCRIPTION_LIMIT],
        "name": status.context,
    }
    url = f"{api}/projects/{quote(path, safe='')}/statuses/{status.commit}"
    return Call(url, {"PRIVATE-TOKEN": token}, body)


KEYS = ("idempotency-key", "webhook-id", "x-gitlab-event-uuid")
GITLAB = Dialect(_check, KEYS, _read, "refs/merge-requests/{}/head", _api, _status)
