"""Signatures, by the examples that their makers publish; events; statuses."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from hostd.errors import Invalid, Unauthorized
from hostd.forges.base import Headers, event_of, key_of
from hostd.forges.dialects import DIALECTS
from hostd.forges.gitea import GITEA
from hostd.forges.github import GITHUB
from hostd.forges.gitlab import GITLAB
from hostd.model.forge import CommitStatus, Event, Kind, Progress, What
from tests.forge import ZERO, pull_request, pushed

NOW = datetime(2026, 11, 25, tzinfo=UTC)
COMMIT = "c0ffee" * 6 + "c0ff"
STATUS = CommitStatus(COMMIT, Progress.SKIPPED, "http://shop.localhost", "x" * 300, "hostd/production")

# docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries, "Testing the webhook payload validation"
GITHUB_SECRET, GITHUB_BODY = "It's a Secret to Everybody", b"Hello, World!"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

# The example of the Standard Webhooks specification, which GitLab's signing tokens follow
STANDARD_SECRET, STANDARD_BODY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
STANDARD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
SIGNED_AT = datetime.fromtimestamp(1614265330, UTC)


def test_githubs_own_example_is_taken() -> None:
    GITHUB.check({"x-hub-signature-256": GITHUB_SIGNATURE}, GITHUB_BODY, GITHUB_SECRET, NOW)


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        ({}, GITHUB_BODY, "the signature is missing"),
        ({"x-hub-signature": "sha1=" + "0" * 40}, GITHUB_BODY, "the signature is missing"),
        ({"x-hub-signature-256": ""}, GITHUB_BODY, "bad signature"),
        ({"x-hub-signature-256": "sha256="}, GITHUB_BODY, "bad signature"),
        ({"x-hub-signature-256": GITHUB_SIGNATURE[7:]}, GITHUB_BODY, "bad signature"),
        ({"x-hub-signature-256": GITHUB_SIGNATURE.upper()}, GITHUB_BODY, "bad signature"),
        ({"x-hub-signature-256": GITHUB_SIGNATURE}, GITHUB_BODY + b" ", "bad signature"),
        ({"x-hub-signature-256": "sha256=\u00e9"}, GITHUB_BODY, "bad signature"),
    ],
)
def test_a_body_that_is_not_githubs_is_refused(headers: Headers, body: bytes, words: str) -> None:
    with pytest.raises(Unauthorized, match=words):
        GITHUB.check(headers, body, GITHUB_SECRET, NOW)


def test_gitea_signs_without_a_prefix() -> None:
    digest = hmac.new(b"secret", b"body", hashlib.sha256).hexdigest()
    GITEA.check({"x-gitea-signature": digest}, b"body", "secret", NOW)
    for headers in ({}, {"x-gitea-signature": f"sha256={digest}"}, {"x-gitea-signature": digest[:-1]}):
        with pytest.raises(Unauthorized):
            GITEA.check(headers, b"body", "secret", NOW)


def test_gitlab_proves_itself_by_token_or_by_signature() -> None:
    GITLAB.check({"x-gitlab-token": STANDARD_SECRET}, b"any body", STANDARD_SECRET, NOW)
    GITLAB.check(STANDARD, STANDARD_BODY, STANDARD_SECRET, SIGNED_AT)
    rotated = STANDARD | {"webhook-signature": f"v1,AAAA {STANDARD['webhook-signature']}"}
    GITLAB.check(rotated, STANDARD_BODY, STANDARD_SECRET, SIGNED_AT)
    GITLAB.check(STANDARD | {"x-gitlab-token": "other"}, STANDARD_BODY, STANDARD_SECRET, SIGNED_AT)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "the secret is missing"),
        ({"x-gitlab-token": ""}, "bad secret"),
        ({"x-gitlab-token": STANDARD_SECRET + "x"}, "bad secret"),
        ({**STANDARD, "webhook-id": "msg_other"}, "bad signature"),
        ({**STANDARD, "webhook-timestamp": "1614265331"}, "bad signature"),
        ({**STANDARD, "webhook-signature": "v1,"}, "bad signature"),
        ({"webhook-signature": STANDARD["webhook-signature"]}, "bad signature"),
    ],
)
def test_what_is_not_gitlabs_is_refused(headers: Headers, words: str) -> None:
    with pytest.raises(Unauthorized, match=words):
        GITLAB.check(headers, STANDARD_BODY, STANDARD_SECRET, SIGNED_AT)


def test_an_old_signature_is_refused() -> None:
    with pytest.raises(Unauthorized, match="too old"):
        GITLAB.check(STANDARD, STANDARD_BODY, STANDARD_SECRET, NOW)


@pytest.mark.parametrize("stamp", ["", "\xb2", "9" * 5000, "-1", "1e9"])
def test_a_signed_time_that_is_none_is_refused(stamp: str) -> None:
    signed = b"msg_1." + stamp.encode() + b"." + STANDARD_BODY
    key = base64.b64decode(STANDARD_SECRET.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": f"v1,{signature}"}
    with pytest.raises(Unauthorized, match="too old"):
        GITLAB.check(headers, STANDARD_BODY, STANDARD_SECRET, SIGNED_AT)


def github(event: str, payload: Any) -> Event:
    return event_of(GITHUB, {"x-github-event": event}, json.dumps(payload).encode())


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("push", pushed("refs/heads/\ud800", COMMIT)),
        ("pull_request", pull_request("opened \ud800", 1, COMMIT)),
        ("pull_request", pull_request("opened", True, COMMIT)),
    ],
)
def test_what_no_forge_says_is_refused(event: str, payload: Any) -> None:
    with pytest.raises(Invalid):
        github(event, payload)


def test_githubs_events_are_read() -> None:
    assert github("ping", {}) == Event(What.PING)
    assert github("push", pushed("refs/heads/a/b", COMMIT)) == Event(What.BRANCH, "me/shop", "a/b", COMMIT)
    assert github("push", pushed("refs/heads/main", ZERO)) == Event(What.BRANCH, "me/shop", "main", "")
    assert github("push", pushed("refs/tags/v1", COMMIT)).what is What.NOTHING
    opened = github("pull_request", pull_request("opened", 12, COMMIT))
    assert opened == Event(What.FORK, "me/shop", "patch-1", COMMIT, 12)
    assert github("pull_request", pull_request("closed", 12, COMMIT)).what is What.FORK_CLOSED
    assert github("pull_request", pull_request("labeled", 12, COMMIT)).what is What.NOTHING
    assert github("pull_request", pull_request("opened", 12, COMMIT, "me/shop")).what is What.NOTHING
    assert github("star", {"repository": {"full_name": "me/shop"}}).what is What.OTHER


def test_a_fork_that_was_deleted_is_still_a_fork() -> None:
    payload = pull_request("reopened", 12, COMMIT)
    payload["pull_request"]["head"]["repo"] = None
    assert github("pull_request", payload).what is What.FORK


def test_githubs_form_is_read_too() -> None:
    headers = {"x-github-event": "ping", "content-type": "application/x-www-form-urlencoded"}
    assert event_of(GITHUB, headers, b"payload=%7B%7D") == Event(What.PING)


def gitlab(payload: Any) -> Event:
    project = {"project": {"path_with_namespace": "group/sub/shop"}}
    return event_of(GITLAB, {}, json.dumps(project | payload).encode())


def merge(action: str, source: int = 7, **more: str) -> dict[str, Any]:
    attributes = {
        "action": action,
        "iid": 3,
        "source_project_id": source,
        "target_project_id": 1,
        "source_branch": "patch-1",
        "last_commit": {"id": COMMIT},
    }
    return {"object_kind": "merge_request", "object_attributes": attributes | more}


def test_gitlabs_events_are_read() -> None:
    push = {"object_kind": "push", "ref": "refs/heads/main", "after": COMMIT}
    assert gitlab(push) == Event(What.BRANCH, "group/sub/shop", "main", COMMIT)
    assert gitlab(push | {"after": ZERO}).commit == ""
    assert gitlab(push | {"object_kind": "tag_push", "ref": "refs/tags/v1"}).what is What.NOTHING
    assert gitlab(merge("open")) == Event(What.FORK, "group/sub/shop", "patch-1", COMMIT, 3)
    assert gitlab(merge("update", oldrev="0" * 40)).what is What.FORK
    assert gitlab(merge("update")).what is What.NOTHING
    assert gitlab(merge("merge")).what is What.FORK_CLOSED
    assert gitlab(merge("open", source=1)).what is What.NOTHING
    assert gitlab({"object_kind": "note"}).what is What.OTHER


def test_giteas_events_are_read() -> None:
    def gitea(kind: str, payload: Any) -> Event:
        return event_of(GITEA, {"x-gitea-event": kind}, json.dumps(payload).encode())

    assert gitea("push", pushed("refs/heads/main", COMMIT)).commit == COMMIT
    deleted = {"ref": "topic", "ref_type": "branch", "repository": {"full_name": "me/shop"}}
    assert gitea("delete", deleted) == Event(What.BRANCH, "me/shop", "topic", "")
    assert gitea("delete", deleted | {"ref_type": "tag"}).what is What.OTHER
    assert gitea("pull_request", pull_request("synchronized", 12, COMMIT)).what is What.FORK


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"repository": null}',
        b"[" * 100_000,
        json.dumps(pushed("refs/heads/a..b", COMMIT)).encode(),
        json.dumps(pushed("refs/heads/", COMMIT)).encode(),
        json.dumps(pushed("refs/heads/main", "HEAD")).encode(),
        json.dumps(pushed("refs/heads/main", "--upload-pack=id")).encode(),
        b"\xff\xfe",
    ],
)
def test_a_body_that_makes_no_sense_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        event_of(GITHUB, {"x-github-event": "push"}, body)


@pytest.mark.parametrize("number", [0, -1, 2**31, "12", None, 1.5])
def test_a_pull_request_needs_a_number(number: Any) -> None:
    with pytest.raises(Invalid, match="has no number"):
        github("pull_request", pull_request("opened", number, COMMIT))


def test_a_delivery_is_known_by_its_id_or_else_by_its_body() -> None:
    assert key_of(GITHUB, {"x-github-delivery": "72d3162e"}, b"") == "72d3162e"
    assert key_of(GITLAB, {"x-gitlab-event-uuid": "event", "idempotency-key": "key"}, b"") == "key"
    for headers in ({}, {"x-github-delivery": "a b"}, {"x-github-delivery": "x" * 129}):
        assert key_of(GITHUB, headers, b"body") == hashlib.sha256(b"body").hexdigest()


def test_statuses_are_in_each_forges_words() -> None:
    call = GITHUB.status("https://api.github.com", "me/shop", "TOKEN", STATUS)
    assert call.url == f"https://api.github.com/repos/me/shop/statuses/{COMMIT}"
    assert call.headers["Authorization"] == "Bearer TOKEN"
    assert (call.body["state"], len(call.body["description"])) == ("error", 140)
    call = GITLAB.status("https://gitlab.com/api/v4", "group/sub/shop", "TOKEN", STATUS)
    assert call.url == f"https://gitlab.com/api/v4/projects/group%2Fsub%2Fshop/statuses/{COMMIT}"
    assert (call.headers, call.body["state"]) == ({"PRIVATE-TOKEN": "TOKEN"}, "canceled")
    assert call.body["name"] == "hostd/production"
    call = GITEA.status("https://git.example.org/api/v1", "me/shop", "TOKEN", STATUS)
    assert (call.headers, call.body["state"]) == ({"Authorization": "token TOKEN"}, "warning")


def test_each_kind_has_a_dialect_and_an_api() -> None:
    assert DIALECTS.keys() == set(Kind)
    assert GITHUB.api("https://github.com/me/shop") == "https://api.github.com"
    assert GITHUB.api("https://git.example.org/me/shop") == "https://git.example.org/api/v3"
    assert GITLAB.api("https://git.example.org:8443/me/shop") == "https://git.example.org:8443/api/v4"
    assert GITEA.api("https://git.example.org/me/shop") == "https://git.example.org/api/v1"


def test_a_key_that_is_no_base64_signs_as_it_is() -> None:
    digest = hmac.new(b"p%ain", b"id.1614265330.body", hashlib.sha256).digest()
    headers = {
        "webhook-id": "id",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }
    GITLAB.check(headers, b"body", "p%ain", SIGNED_AT)
