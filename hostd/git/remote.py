"""A repository elsewhere: fetching one ref of it into a scratch repository, and from there pushing to an App's own.

The push is a real one, by `git push` over a socket, so that what was fetched passes quarantine, checks and limits as
anybody's push does. The token is given to git by its environment alone: no argument, URL or log holds it.
"""

import asyncio
import base64
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from hostd import command
from hostd.command import PIPE, STDOUT
from hostd.errors import Invalid, LimitExceeded, NotFound, Unavailable
from hostd.git.config import PACK_LIMIT, environment, git
from hostd.git.reading import Reader
from hostd.git.receive import Session

FETCH_LIMIT = 900.0  # seconds
SLOWEST, SILENCE = 1000, 60  # bytes a second, for so many seconds: then the other side counts as gone
_FETCHED = "refs/heads/fetched"
_CUT_OFF = (
    "fatal: fetch-pack: invalid index-pack output"  # alone: a limit ended the child that takes the pack
)
_REJECTED = re.compile(r"\[remote rejected\] \((.*)\)$")


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository at `url`, whose host is connected to at `address` and nowhere else; `token` "" for none."""

    url: str
    address: str
    token: str


async def fetch(remote: Remote, ref: str, scratch: Path) -> str | None:
    """Fetch `ref` with its history; the object it points at, None if there is no such ref.

    Raises Unavailable if the repository cannot be reached, NotFound if it is not there for this token, LimitExceeded.
    """
    words = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
    env = environment({"GIT_DIR": str(scratch)}, _settings(remote))
    asked = git(*words, "--", remote.url, f"+{ref}:{_FETCHED}", env=env)
    try:
        async with asyncio.timeout(FETCH_LIMIT):
            # Only the end of what it prints is kept: most of it is the other side's own words, without end if it likes.
            result = await command.run(replace(asked, file_bytes=PACK_LIMIT), on_line=lambda _: None)
    except TimeoutError as error:
        raise LimitExceeded(f"fetching from {remote.url} took longer than {FETCH_LIMIT:.0f} s") from error
    if result.status == 0:
        with Reader(scratch) as reader:
            return reader.tips()[_FETCHED]
    if "couldn't find remote ref" in result.output:
        return None
    raise _failure(remote, result.output)


async def push(scratch: Path, refspec: str, session: Session) -> None:
    """Push out of the scratch repository into the Session's. Raises Invalid with the reason if git refused it."""
    ours, theirs = socket.socketpair()
    with theirs:
        fd = theirs.fileno()
        asked = git("push", "--porcelain", f"fd::{fd}", refspec, env=environment({"GIT_DIR": str(scratch)}))
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            pushing = await command.spawn(asked, stdout=PIPE, stderr=STDOUT, pass_fds=(fd,))
        except BaseException:
            writer.close()
            raise
    assert pushing.stdout
    saying = asyncio.create_task(pushing.stdout.read())
    try:
        await session.open()
        await _converse(session, reader, writer)
        said = (await saying).decode(errors="replace")
        status = await pushing.wait()
    finally:
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)
        if pushing.returncode is None:
            await asyncio.shield(command.end(pushing))
        await asyncio.shield(session.close())
    if status != 0:
        raise Invalid(_reason(said))


async def _converse(session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    feeding = asyncio.create_task(session.feed(_pieces(reader)))
    try:
        async for data in session.answer():
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _pieces(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while data := await reader.read(65536):
        yield data


def _settings(remote: Remote) -> dict[str, str]:
    """Only this scheme, only this address, no redirects: a URL must not lead into the operator's own network."""
    parts = urlsplit(remote.url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    address = f"[{remote.address}]" if ":" in remote.address else remote.address
    settings = {
        "credential.helper": "",
        "fetch.unpackLimit": "1",  # one pack, whose size is bounded, and not many objects
        "http.curloptResolve": f"{parts.hostname}:{port}:{address}",
        "http.followRedirects": "false",
        "http.lowSpeedLimit": str(SLOWEST),
        "http.lowSpeedTime": str(SILENCE),
        "protocol.allow": "never",
        f"protocol.{parts.scheme}.allow": "always",
    }
    if remote.token:
        pair = base64.b64encode(f"x-access-token:{remote.token}".encode()).decode()
        settings["http.extraHeader"] = f"Authorization: Basic {pair}"
    return settings


def _failure(remote: Remote, output: str) -> Exception:
    if re.search(r"could not read Username|Authentication failed|not found|error: 40[134]", output):
        return NotFound(
            f"{remote.url} is not there, or the token may not read it",
            hint="connect again with a token that may: hostd forges connect --token TOKEN",
        )
    said = output.strip().splitlines()[-1:] or ["git was ended"]
    if output.strip() == _CUT_OFF:
        return LimitExceeded(
            f"{remote.url} is larger than {PACK_LIMIT // 1024 // 1024} MiB, or too much work"
        )
    return Unavailable(f"fetching from {remote.url} failed: {said[0].removeprefix('fatal: ')[:200]}")


def _reason(said: str) -> str:
    for line in said.splitlines():
        if line.startswith("remote: error: "):
            return f"git refused what was fetched: {line.removeprefix('remote: error: ').strip()[:200]}"
        if found := _REJECTED.search(line):
            return found[1]
    last = said.strip().splitlines()[-1:] or ["git was ended"]
    return f"git refused what was fetched: {last[0][:200]}"
