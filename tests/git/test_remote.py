"""Fetching from elsewhere: from where it was said and nowhere else, within limits, and checked like any push."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostd import command
from hostd.command import KEPT_LINES, Command, Result
from hostd.errors import HostdError, Invalid, LimitExceeded, NotFound, Unavailable
from hostd.git import remote
from hostd.git.config import environment
from hostd.git.receive import Received, Say, Session
from hostd.git.remote import Remote
from tests.forge import FakeForge, forge_in
from tests.git.conftest import Clone

MAIN = "refs/heads/main"
HERE = "127.0.0.1"


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[FakeForge]:
    with forge_in(tmp_path / "forge") as made:
        yield made


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    place = tmp_path / "scratch"
    subprocess.run(["git", "init", "-q", "--bare", str(place)], check=True)
    return place


async def test_a_ref_is_fetched_and_one_that_is_not_there_is_none(forge: FakeForge, scratch: Path) -> None:
    commit = forge.commit(MAIN, {"a": "1"})
    source = Remote(forge.repository, HERE, "")
    assert await remote.fetch(source, MAIN, scratch) == commit
    assert await remote.fetch(source, "refs/heads/absent", scratch) is None


async def test_the_address_that_was_checked_is_the_one_connected_to(forge: FakeForge, scratch: Path) -> None:
    commit = forge.commit(MAIN, {"a": "1"})
    url = forge.repository.replace(HERE, "forge.invalid")
    assert await remote.fetch(Remote(url, HERE, ""), MAIN, scratch) == commit


async def test_redirects_are_not_followed(forge: FakeForge, scratch: Path) -> None:
    forge.commit(MAIN, {"a": "1"})
    with pytest.raises(Unavailable, match="fetching from"):
        await remote.fetch(Remote(f"{forge.url}/moved/me/shop.git", HERE, ""), MAIN, scratch)


async def test_a_repository_that_is_not_there_looks_like_one_that_may_not_be_read(
    forge: FakeForge, scratch: Path
) -> None:
    with pytest.raises(NotFound, match="is not there, or the token may not read it"):
        await remote.fetch(Remote(f"{forge.url}/me/absent.git", HERE, ""), MAIN, scratch)
    forge.token = "s3cret"
    for token in ("", "wrong"):
        with pytest.raises(NotFound, match="is not there, or the token may not read it"):
            await remote.fetch(Remote(forge.repository, HERE, token), MAIN, scratch)


async def test_what_is_too_large_is_not_taken(
    forge: FakeForge, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.commit(MAIN, {str(number): f"{number:x}" * 40_000 + str(number) for number in range(20)})
    monkeypatch.setattr(remote, "PACK_LIMIT", 500)
    with pytest.raises(LimitExceeded, match="is larger than"):
        await remote.fetch(Remote(forge.repository, HERE, ""), MAIN, scratch)


def packet(data: bytes) -> bytes:
    return b"%04x%s" % (len(data) + 4, data)


async def test_what_the_other_side_says_without_end_is_not_kept(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/x-git-upload-pack-%s\r\n\r\n"
    refs = packet(b"1" * 40 + b" refs/heads/main\0side-band-64k\n")
    said = packet(b"NAK\n") + packet(b"\2" + b"and so on\n" * 100) * 100

    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if asked.startswith(b"GET"):
            writer.write(
                head % b"advertisement" + packet(b"# service=git-upload-pack\n") + b"0000" + refs + b"0000"
            )
        else:
            writer.write(head % b"result" + said)
        await writer.drain()
        writer.close()

    kept: list[Result] = []
    run = command.run

    async def watched(asked: Command, on_line: Callable[[str], None] | None = None) -> Result:
        kept.append(await run(asked, on_line))
        return kept[-1]

    monkeypatch.setattr(command, "run", watched)
    server = await asyncio.start_server(chatter, HERE)
    async with server:
        url = f"http://{HERE}:{server.sockets[0].getsockname()[1]}/me/shop.git"
        with pytest.raises(HostdError):
            await remote.fetch(Remote(url, HERE, ""), MAIN, scratch)
    assert "and so on" in kept[0].output
    assert len(kept[0].output.splitlines()) <= KEPT_LINES


@pytest.mark.parametrize("url", ["file:///etc", "ext::sh -c id", "git://127.0.0.1/x"])
def test_no_other_protocol_is_spoken(scratch: Path, url: str) -> None:
    source = Remote("https://example.invalid/x.git", HERE, "")
    settings = remote._settings(source)
    assert settings["protocol.allow"] == "never"
    env = environment({"GIT_DIR": str(scratch)}, settings)
    done = subprocess.run(
        ["git", "ls-remote", "--", url], env=env, capture_output=True, text=True, check=False
    )
    assert "not allowed" in done.stderr


async def refused(clone: Clone, scratch: Path, commit: str, error: HostdError | None = None) -> str:
    """Why a push out of the scratch repository was refused."""

    async def gate(received: Received, say: Say) -> None:
        if error:
            raise error

    session = Session(clone.repositories.path(clone.app), gate, stateless=False)
    with pytest.raises(Invalid) as caught:
        await remote.push(scratch, f"{commit}:{MAIN}", session)
    return caught.value.message


async def test_what_was_fetched_is_pushed_and_moves_the_ref(
    clone: Clone, forge: FakeForge, scratch: Path
) -> None:
    commit = forge.commit(MAIN, {"a": "1"})
    await remote.fetch(Remote(forge.repository, HERE, ""), MAIN, scratch)
    seen: list[Received] = []

    async def gate(received: Received, say: Say) -> None:
        seen.append(received)

    await remote.push(
        scratch, f"{commit}:{MAIN}", Session(clone.repositories.path(clone.app), gate, stateless=False)
    )
    assert [(update.new, update.ref) for update in seen[0].updates] == [(commit, MAIN)]
    assert seen[0].quarantine is not None
    with clone.repositories.reader(clone.app) as reader:
        assert reader.tips() == {MAIN: commit}


async def test_a_push_that_is_refused_says_why_and_leaves_nothing(
    clone: Clone, forge: FakeForge, scratch: Path
) -> None:
    commit = forge.commit(MAIN, {"a": "1"})
    await remote.fetch(Remote(forge.repository, HERE, ""), MAIN, scratch)
    assert await refused(clone, scratch, commit, NotFound("not today")) == "not today"
    with clone.repositories.reader(clone.app) as reader:
        assert reader.tips() == {}
        assert reader.kind(commit) is None


async def test_objects_that_would_harm_are_refused_as_in_any_push(
    clone: Clone, forge: FakeForge, scratch: Path
) -> None:
    blob = forge.git("hash-object", "-w", "--stdin", into="[core]\n")
    inner = forge.git("mktree", into=f"100644 blob {blob}\tconfig\n")
    entry = b"40000 .git\0" + bytes.fromhex(inner)
    (scratch / "tree").write_bytes(entry)
    tree = forge.git("hash-object", "-w", "--literally", "-t", "tree", str(scratch / "tree"))
    commit = forge.git("commit-tree", tree, "-m", "evil")
    forge.git("update-ref", MAIN, commit)
    assert await remote.fetch(Remote(forge.repository, HERE, ""), MAIN, scratch) == commit
    assert "hasDotgit" in await refused(clone, scratch, commit)
