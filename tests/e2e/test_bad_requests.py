"""Requests to git's addresses that no git client would send: each is answered clearly and leaves nothing."""

import gzip
import json
import os
import socket
import zlib
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.server import Project, wait_for
from tests.e2e.test_push import app, app_id
from tests.e2e.wire import (
    BLOB,
    CAPABILITIES,
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
PROCFILE = Thing(BLOB, b"worker: sleep 1000\n")
TREE = tree(("100644", b"Procfile", PROCFILE.sha))
COMMIT = commit(TREE.sha)
GOOD = [PROCFILE, TREE, COMMIT]
SHARED = "more"  # the App of tests that leave it as it is


def repository(project: Project) -> Path:
    """Where hostd keeps the App's objects."""
    return project.server.data / f"data/repositories/{app_id(project)}.git"


def kept(project: Project) -> list[Path]:
    """All objects, refs, and what a push that was cut off would leave."""
    found = [
        *repository(project).glob("objects/tmp_*"),
        *repository(project).glob("objects/pack/*"),
        *repository(project).glob("objects/??/*"),
        *repository(project).glob("refs/**/*"),
    ]
    return [path for path in found if path.is_file() or path.name.startswith("tmp_")]


MALFORMED = {
    "no pkt-line": (b"zzzz", "bad pkt-line length 'zzzz' at byte 0"),
    "a negative length": (b"-001", "bad pkt-line length '-001'"),
    "a length below 4": (
        line(f"{command(SOME)}\0{CAPABILITIES}") + b"0003",
        "bad pkt-line length '0003' at byte 165",
    ),
    "a length past the largest": (b"fff1" + b"x" * 65521, "bad pkt-line length 'fff1'"),
    "cut off in a line": (line(command(SOME))[:30], "the request is cut off"),
    "no flush": (line(f"{command(SOME)}\0report-status"), "the request is cut off"),
    "nothing at all": (b"", "the request is cut off"),
    "two spaces": (request([f"{ZERO}  {SOME} refs/heads/main"]), "malformed command before byte"),
    "short ids": (request(["0 1 refs/heads/main"]), "malformed command before byte"),
    "a newline in the ref": (request([command(SOME, "refs/heads/a\nb")]), "malformed command"),
    "60 KB that are no command": (line("x" * 60000), "malformed command before byte 60004: 'xxxx"),
    "a certificate": (request([f"push-cert\0{CAPABILITIES}"]), "malformed command"),
    "another hash": (
        request([command(SOME)], capabilities="object-format=sha256"),
        "object format sha256 is not supported",
    ),
    "push options without end": (
        request([command(SOME)], capabilities="push-options") + line("a=b"),
        "the request is cut off",
    ),
}


@pytest.mark.parametrize(("body", "words"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_refused_in_words_and_leaves_nothing(
    project: Project, body: bytes, words: str
) -> None:
    answer = post(project, body)
    assert answer.status_code == 422
    assert words in answer.text
    assert kept(project) == []


def test_what_git_sends_to_ask_whether_it_may_push_is_accepted(project: Project) -> None:
    answer = post(project, b"0000")
    assert (answer.status_code, answer.content) == (200, b"")


PACKS = {
    "no pack at all": b"",
    "bad magic": b"JUNK" + pack(GOOD)[4:],
    "an unknown version": pack(GOOD, version=9),
    "more objects promised": pack(GOOD, count=400_000_000),
    "fewer objects promised": pack(GOOD, count=2),
    "cut off": pack(GOOD)[:-30],
    "a wrong sum at its end": pack(GOOD)[:-20] + b"\0" * 20,
    "garbage where an object starts": pack([*GOOD[:2], b"\xff" * 40], count=3),
    "a delta on nothing": pack([*GOOD, Thing(REF_DELTA, b"\x0a\x0a\x0a0123456789", bytes(20))]),
    "a delta on itself": pack([*GOOD, Thing(OFS_DELTA, b"\x0a\x0a\x0a0123456789", b"\0")]),
    "the commit is missing": pack(GOOD[:2]),
    "the tree is missing": pack([PROCFILE, COMMIT]),
    "the file is missing": pack([TREE, COMMIT]),
    "an object of another kind": pack(GOOD[:2]) + pack(GOOD),
}


@pytest.mark.parametrize("packed", PACKS.values(), ids=PACKS)
def test_a_broken_pack_is_refused_with_the_reason_and_leaves_nothing(project: Project, packed: bytes) -> None:
    answer = post(project, request([command(COMMIT.sha)], packed))
    assert answer.status_code == 200
    assert (
        b"unpack " in answer.content
        and b"unpack ok" not in answer.content
        or b"ng refs/heads/main" in answer.content
    )
    assert b"ok refs/heads/main" not in answer.content
    wait_for(lambda: kept(project) == [], 5, lambda: f"left: {kept(project)}")
    print(answer.content)


def test_what_comes_after_a_whole_push_is_ignored(project: Project) -> None:
    second = request([command(COMMIT.sha, "refs/heads/other")], pack(GOOD))
    answer = post(project, request([command(COMMIT.sha, "refs/heads/topic")], pack(GOOD)) + second)
    assert b"ok refs/heads/topic" in answer.content
    refs = [path.name for path in repository(project).glob("refs/heads/*")]
    assert refs == ["topic"]
