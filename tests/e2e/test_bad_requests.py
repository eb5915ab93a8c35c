"""Requests to git's addresses that no git client would send: each is answered clearly and at once, and leaves nothing."""

import gzip
import socket
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.server import Project, wait_for
from tests.e2e.test_push import app, app_id
from tests.e2e.wire import (
    BLOB,
    OFS_DELTA,
    REF_DELTA,
    ZERO,
    Thing,
    command,
    commit,
    line,
    pack,
    post,
    request,
    tree,
)

SOME = "1" * 40
GOOD_BLOB = Thing(BLOB, b"web: true\n")
GOOD_TREE = tree(("100644", b"Procfile", GOOD_BLOB.sha))
GOOD_COMMIT = commit(GOOD_TREE.sha)
GOOD = [GOOD_BLOB, GOOD_TREE, GOOD_COMMIT]


def kept(project: Project) -> list[Path]:
    """All objects, and what a push that was cut off would leave, in the App's repository."""
    repository = project.server.data / f"data/repositories/{app_id(project)}.git"
    return [
        *repository.glob("objects/tmp_*"),
        *repository.glob("objects/pack/*"),
        *repository.glob("objects/??/*"),
        *(path for path in repository.glob("refs/**/*") if path.is_file()),
    ]


MALFORMED = {
    "no pkt-line": b"zzzz",
    "a negative length": b"-001",
    "a length below 4": b"0003",
    "a length past the largest": b"fff1" + b"x" * 65521,
    "cut off in a line": line(command(SOME))[:30],
    "no flush": line(f"{command(SOME)}\0report-status"),
    "no command at all": b"",
    "two spaces": request([f"{ZERO}  {SOME} refs/heads/main"]),
    "short ids": request(["0 1 refs/heads/main"]),
    "a newline in the ref": request([command(SOME, "refs/heads/a\nb")]),
    "100 KB of ref": b"".join(line("x" * 60000) for _ in range(2)),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_refused_in_words_and_leaves_nothing(project: Project, body: bytes) -> None:
    answer = post(project, body)
    print(answer.status_code, answer.text)
    assert answer.status_code == 400
    assert kept(project) == []
