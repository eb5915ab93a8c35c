"""One `git fetch` or `git clone` as the server sees it: C git upload-pack as a limited child."""

from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

from hostd import command
from hostd.command import PIPE
from hostd.git.config import environment, limited


async def advertise(repository: Path, service: str, protocol: str) -> bytes:
    """The refs and capabilities, as the answer to GET info/refs. `service` is upload-pack or receive-pack."""
    argv = limited("git", service, "--http-backend-info-refs", str(repository))
    process = await command.spawn(command.Command(argv, _env(protocol)), stdout=PIPE)
    output, _ = await process.communicate()
    head = f"# service=git-{service}\n"
    return f"{len(head) + 4:04x}{head}0000".encode() + output


async def upload(repository: Path, body: AsyncIterable[bytes], protocol: str) -> AsyncIterator[bytes]:
    """Answer one request of a fetch. Ends git's child also when the client goes away."""
    argv = limited("git", "upload-pack", "--stateless-rpc", str(repository))
    process = await command.spawn(command.Command(argv, _env(protocol)), stdin=PIPE, stdout=PIPE)
    assert process.stdin and process.stdout
    try:
        async for chunk in body:
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.close()
        while data := await process.stdout.read(65536):
            yield data
        await process.wait()
    finally:
        if process.returncode is None:
            command.kill_session(process)
            await process.wait()


def _env(protocol: str) -> dict[str, str]:
    """`protocol` is the client's Git-Protocol header; only its known form is passed on."""
    known = protocol if protocol in ("version=1", "version=2") else ""
    return environment({"GIT_PROTOCOL": known} if known else {})
