"""Requests to git's addresses that no git client would send: each is answered clearly and leaves nothing."""

import base64
import contextlib
import gzip
import socket
import zlib
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.server import Project, wait_for
from tests.e2e.test_push import app_id
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
        "bad pkt-line length '0003' at byte 159",
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
    untouched: Project, body: bytes, words: str
) -> None:
    answer = post(untouched, body)
    assert answer.status_code == 422
    assert words in answer.text
    assert kept(untouched) == []


def test_what_git_sends_to_ask_whether_it_may_push_is_accepted(untouched: Project) -> None:
    answer = post(untouched, b"0000")
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
def test_a_broken_pack_is_refused_with_the_reason_and_leaves_nothing(
    untouched: Project, packed: bytes
) -> None:
    answer = post(untouched, request([command(COMMIT.sha)], packed))
    assert answer.status_code == 200
    assert (
        b"unpack " in answer.content and b"unpack ok" not in answer.content
    ) or b"ng refs/heads/main" in answer.content
    assert b"ok refs/heads/main" not in answer.content
    wait_for(lambda: kept(untouched) == [], 5, lambda: f"left: {kept(untouched)}")


def test_a_second_push_behind_a_whole_one_is_never_looked_at(project: Project) -> None:
    """git takes the first or refuses both: it depends on whether it still reads what it does not need."""
    second = request([command(COMMIT.sha, "refs/heads/other")], pack(GOOD))
    post(project, request([command(COMMIT.sha, "refs/heads/topic")], pack(GOOD)) + second)
    assert [path.name for path in repository(project).glob("refs/heads/*")] in (["topic"], [])


OTHER_WAYS = [
    ("GET", "info/refs", 403, "dumb HTTP is off"),
    ("GET", "info/refs?service=git-upload-archive", 403, "unknown service"),
    ("GET", "HEAD", 404, ""),
    ("GET", "objects/info/packs", 404, ""),
    ("GET", "config", 404, ""),
    ("POST", "git-upload-archive", 404, ""),
    ("PUT", "git-receive-pack", 405, ""),
]


@pytest.mark.parametrize(("method", "path", "status", "words"), OTHER_WAYS)
def test_other_ways_into_a_repository_are_closed(
    untouched: Project, method: str, path: str, status: int, words: str
) -> None:
    url = f"{untouched.server.url}/{untouched.name}.git/{path}"
    answer = httpx.request(method, url, auth=("u", untouched.server.token))
    assert answer.status_code == status
    assert words in answer.text


ADDRESSES = [
    "..",
    "%2e%2e",
    "x%2f..%2f{name}",
    "{name}/",
    "{NAME}",
    "{name}.git",
    "{name}%2f",
    "{name}%00",
    "1",
    "-x",
    "%2fetc",
]


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_repository_has_one_address(untouched: Project, path: str) -> None:
    path = path.format(name=untouched.name, NAME=untouched.name.upper())
    url = f"{untouched.server.url}/{path}.git/info/refs?service=git-upload-pack"
    assert httpx.get(url, auth=("u", untouched.server.token)).status_code == 404


@pytest.mark.parametrize("service", ["git-receive-pack", "git-upload-pack"])
def test_a_body_of_another_type_is_refused(untouched: Project, service: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", f"application/x-{service}-result"):
        answer = post(untouched, b"0000", service, Content_Type=kind)
        assert answer.status_code == 415
        assert f"application/x-{service}-request" in answer.text


def test_a_gzip_bomb_is_refused_before_it_is_inflated(untouched: Project) -> None:
    process = psutil.Process(untouched.server.process.pid if untouched.server.process else 0)
    zeros = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(zeros.compress(bytes(1 << 20)) for _ in range(600)) + zeros.flush()
    before = process.memory_info().rss
    for service in ("git-receive-pack", "git-upload-pack"):
        answer = post(untouched, bomb, service, Content_Encoding="gzip")
        assert answer.status_code == 422
        assert "bad pkt-line length" in answer.text or "larger than" in answer.text
    assert process.memory_info().rss - before < 150 * 1024 * 1024


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"this is not gzip", "bad gzip"),
        (gzip.compress(b"0000" * 1000, mtime=0)[:30], "cut off"),
        (gzip.compress(b"0000", mtime=0) + b"more", "unexpected data"),
        (b"", "cut off"),
    ],
)
def test_bad_gzip_is_refused(untouched: Project, body: bytes, words: str) -> None:
    for service in ("git-receive-pack", "git-upload-pack"):
        answer = post(untouched, body, service, Content_Encoding="gzip")
        assert answer.status_code == 422
        assert words in answer.text


@pytest.mark.parametrize(
    ("body", "protocol"),
    [
        (b"zzzz" * 100_000, "version=2"),
        (b"zzzz" * 100_000, ""),
        (line("command=ls-refs") + b"0001" + b"0000", "version=2"),
        (line("command=../../x") + b"0000", "version=2"),
        (line("want " + SOME) + b"0000" + line("done"), ""),
        (line("want " + SOME) + b"0000" + line("have " + SOME) * 100_000 + line("done"), ""),
        (b"0000", "version=99; rm -rf /"),
    ],
)
def test_a_fetch_that_is_garbage_ends_and_hostd_goes_on(
    untouched: Project, body: bytes, protocol: str
) -> None:
    post(untouched, body, "git-upload-pack", Git_Protocol=protocol)
    assert httpx.get(f"{untouched.server.url}/healthz").status_code == 200


FRAMING = {
    "a length that is no number": b"Content-Length: x\r\n\r\n",
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n0000",
    "a negative chunk": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    "an endless chunk": b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "both framings": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a header of 100 KB": b"X: " + b"x" * 100_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("rest", FRAMING.values(), ids=FRAMING)
def test_bad_framing_is_an_answer_or_an_end_and_never_a_wait(untouched: Project, rest: bytes) -> None:
    token = base64.b64encode(f"u:{untouched.server.token}".encode())
    head = f"POST /{untouched.name}.git/git-receive-pack HTTP/1.1\r\nHost: localhost\r\n".encode()
    kind = b"Content-Type: application/x-git-receive-pack-request\r\nConnection: close\r\n"
    address = ("127.0.0.1", untouched.server.api_port)
    with contextlib.suppress(ConnectionError), socket.create_connection(address, timeout=10) as client:
        client.sendall(head + kind + b"Authorization: Basic " + token + b"\r\n" + rest)
        answer = client.recv(65536)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    assert kept(untouched) == []


def test_requests_that_are_refused_leave_no_process_and_no_descriptor(untouched: Project) -> None:
    process = psutil.Process(untouched.server.process.pid if untouched.server.process else 0)
    post(untouched, b"zzzz")
    before = process.num_fds()
    for _ in range(20):
        post(untouched, b"zzzz")
        post(untouched, request([command(COMMIT.sha)], b"JUNK"))
        with socket.create_connection(("127.0.0.1", untouched.server.api_port)) as client:
            client.sendall(b"POST /x.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")

    def settled() -> bool:
        running = [child.name() for child in process.children(recursive=True) if child.name() == "git"]
        return running == [] and process.num_fds() <= before + 2

    wait_for(settled, 10, lambda: f"descriptors: {before} then {process.num_fds()}")
