"""One `git fetch` or `git clone` as the server sees it: C git upload-pack as a limited child."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from pathlib import Path

from hostd import command
from hostd.command import PIPE
from hostd.git.config import environment, git


async def advertise(repository: Path, service: str, protocol: str) -> bytes:
    """The refs and capabilities, as the answer to GET info/refs. `service` is upload-pack or receive-pack."""
    asked = git(service, "--http-backend-info-refs", str(repository), env=_env(protocol))
    process = await command.spawn(asked, stdout=PIPE)
    output, _ = await process.communicate()
    head = f"# service=git-{service}\n"
    return f"{len(head) + 4:04x}{head}0000".encode() + output


async def upload(
    repository: Path, body: AsyncIterable[bytes], protocol: str, *, stateless: bool
) -> AsyncGenerator[bytes, None]:
    """Answer a fetch: one request of it if `stateless` (HTTP), else the whole conversation (SSH).

    Ends git's child also when the client goes away; what breaks in `body` ends only what git is told.
    """
    flags = ("--stateless-rpc",) if stateless else ()
    asked = git("upload-pack", *flags, str(repository), env=_env(protocol))
    process = await command.spawn(asked, stdin=PIPE, stdout=PIPE)
    assert process.stdin and process.stdout
    feeding = asyncio.create_task(_feed(process.stdin, body))
    try:
        while data := await process.stdout.read(65536):
            yield data
        await process.wait()
    finally:
        if process.returncode is None:
            await command.end(process)
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _feed(stdin: asyncio.StreamWriter, body: AsyncIterable[bytes]) -> None:
    try:
        async for chunk in body:
            stdin.write(chunk)
            await stdin.drain()
    finally:
        await command.end_input(stdin)


def _env(protocol: str) -> dict[str, str]:
    """`protocol` is the client's Git-Protocol header; only its known form is passed on."""
    known = protocol if protocol in ("version=1", "version=2") else ""
    return environment({"GIT_PROTOCOL": known} if known else {})
