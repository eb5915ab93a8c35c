"""Garbage over SSH: refused in words, and nothing hangs or is left."""

import subprocess

import psutil
import pytest

from tests.e2e.server import Project, Server, wait_for
from tests.e2e.test_bad_requests import COMMIT, GOOD, kept
from tests.e2e.test_ssh import over_ssh
from tests.e2e.wire import command, line, pack, request


@pytest.fixture
def shop(server: Server, project: Project) -> Project:
    """An App with SSH as its way."""
    server.cli("login", server.url, "--token", server.token)
    return over_ssh(project)


def spoken(project: Project, words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """What ssh prints when it is told to run `words` over there."""
    ssh = project.git("config", "core.sshCommand").split()
    where = ["-p", str(project.server.ssh_port), "git@127.0.0.1"]
    return subprocess.run([*ssh, *where, words], input=data, capture_output=True, timeout=30, check=False)


BAD = {
    "no pkt-line": (b"zzzz", b"bad pkt-line length 'zzzz' at byte 0"),
    "a bad command": (line("hello there"), b"malformed command before byte"),
    "a million refs": (
        request([command(COMMIT.sha, f"refs/heads/b{n}") for n in range(10_001)]),
        b"more than 10000 refs",
    ),
    "nothing": (b"", b"the request is cut off"),
    "half a pack": (request([command(COMMIT.sha)], pack(GOOD)[:-30]), b"ng refs/heads/main unpacker error"),
}


@pytest.mark.parametrize(("data", "words"), BAD.values(), ids=BAD)
def test_a_broken_push_is_refused_in_words(shop: Project, data: bytes, words: bytes) -> None:
    done = spoken(shop, f"git-receive-pack '{shop.name}.git'", data)
    assert words in done.stdout + done.stderr, done
    assert kept(shop) == []
    process = psutil.Process(shop.server.process.pid if shop.server.process else 0)
    wait_for(lambda: not [c for c in process.children(recursive=True) if c.name() == "git"], 10)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "id",
        "sh -c id",
        "git-receive-pack",
        "git-receive-pack ''",
        "git-receive-pack '../x'",
        "git-receive-pack '/etc/passwd'",
        "git-receive-pack '{app}.git'; id",
        "git-receive-pack '{app}.git' --upload-pack=id",
        "git-receive-pack --help",
        "git-receive-pack '$(id).git'",
        "git-upload-archive '{app}.git'",
        "git-upload-pack '{app}.git\n'",
        "scp -t /tmp",
        "git-shell -c id",
    ],
)
def test_other_commands_are_refused(shop: Project, words: str) -> None:
    done = spoken(shop, words.format(app=shop.name))
    assert done.returncode != 0
    assert b"uid=" not in done.stdout
    assert done.stderr
