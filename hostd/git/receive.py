"""One `git push` as the server sees it: C git receive-pack as a limited child, gated by the pre-receive hook.

The hook and hostd talk over three inherited pipes: control (refs, from the hook), lines (to the pusher, while the
push is worked on) and status (0 lets git move the refs). git keeps the objects in quarantine until then: a refused
push leaves nothing.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from hostd import command
from hostd.command import PIPE
from hostd.errors import HostdError, LimitExceeded, Unavailable
from hostd.git.config import environment, git
from hostd.git.head import Head
from hostd.git.report import Report
from hostd.model.push import RefUpdate

UNPACKED_LIMIT = 1024 * 1024 * 1024  # bytes of all objects of a push, inflated
OBJECT_LIMIT = 100 * 1024 * 1024  # bytes of one file
RECORD_LIMIT = 16 * 1024 * 1024  # bytes of one commit, tag or directory, which are read as a whole
OBJECTS_LIMIT = 1_000_000
DECISION_LIMIT = 3600.0  # seconds a gate may take; builds have limits of their own below it
COMPLAINT_LIMIT = 4096  # bytes of what git says to its operator that are kept

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """What the hook hands over: the refs, the options of `git push -o`, and where the pushed objects wait.

    `quarantine` is None for a push that brought none, such as the deletion of a branch.
    """

    repository: Path
    quarantine: Path | None
    updates: tuple[RefUpdate, ...]
    options: tuple[str, ...]


Say = Callable[[str], None]
Gate = Callable[[Received, Say], Awaitable[None]]


class Session:
    """One push. `gate` is asked once git has the objects; the HostdError it raises is the reason of the refusal."""

    def __init__(self, repository: Path, gate: Gate, *, stateless: bool) -> None:
        self._repository = repository
        self._gate = gate
        self._stateless = stateless
        self._report = Report()
        self._process: asyncio.subprocess.Process | None = None
        self._conversation: asyncio.Task[None] | None = None
        self._complaints: asyncio.Task[bytes] | None = None
        self._transports: list[asyncio.BaseTransport] = []

    @property
    def accepted(self) -> set[str]:
        """The refs that git moved; complete once `answer` has ended."""
        return self._report.accepted

    async def open(self) -> None:
        """Start git. Raises Unavailable if it is not installed."""
        control, lines, status = os.pipe(), os.pipe(), os.pipe()
        inherited, ours = (control[1], lines[0], status[0]), (control[0], lines[1], status[1])
        names = ("HOSTD_CONTROL", "HOSTD_LINES", "HOSTD_STATUS")
        env = environment(dict(zip(names, map(str, inherited), strict=True)))
        flags = ("--stateless-rpc",) if self._stateless else ()
        asked = git("receive-pack", *flags, str(self._repository), env=env)
        try:
            self._process = await command.spawn(
                asked, stdin=PIPE, stdout=PIPE, stderr=PIPE, pass_fds=inherited
            )
        except BaseException:
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in inherited:
                os.close(descriptor)
        assert self._process.stderr
        self._complaints = asyncio.create_task(_last_of(self._process.stderr))
        self._conversation = asyncio.create_task(self._converse(*(await self._connect(*ours))))

    async def feed(self, body: AsyncIterable[bytes]) -> None:
        """Give git the whole request. What comes after git has ended is read and dropped, so that the client
        reads the report instead of a broken connection. Raises Invalid or LimitExceeded for a broken head."""
        assert self._process and self._process.stdin
        stdin, head = self._process.stdin, Head()
        async for chunk in body:
            head.check(chunk)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                stdin.write(chunk)
                await stdin.drain()
        head.end()
        await command.end_input(stdin)

    async def answer(self) -> AsyncIterator[bytes]:
        """git's answer as it comes, with the true reason of a refusal in it."""
        assert self._process and self._process.stdout and self._conversation
        while data := await self._process.stdout.read(65536):
            if ready := self._report.feed(data):
                yield ready
        await self._process.wait()
        try:
            await self._conversation
        except Exception:  # noqa: BLE001 (the hook saw its pipes close and refused: the pusher gets a report)
            _log.exception("a push to %s failed", self._repository.name)
        if self._process.returncode and self._complaints:
            said = (await self._complaints).decode(errors="replace")
            _log.warning("git receive-pack on %s: %s", self._repository.name, said.strip())
        if ready := self._report.end():
            yield ready

    async def close(self) -> None:
        """End what is left of the session: the hook sees its pipes close, git drops the quarantine."""
        if self._conversation:
            self._conversation.cancel()
            await asyncio.gather(self._conversation, return_exceptions=True)
        for transport in self._transports:
            transport.close()
        if self._process and self._process.returncode is None:
            assert self._process.stdin and self._process.stdout
            self._process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self._process.stdout.read()
                    await self._process.wait()
            await command.end(self._process)
        if self._complaints:
            await self._complaints

    async def _connect(
        self, control: int, lines: int, status: int
    ) -> tuple[asyncio.StreamReader, asyncio.WriteTransport, asyncio.WriteTransport]:
        """Our ends of the pipes, none of which ever blocks the loop: what the hook has not read waits in memory."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        files = [os.fdopen(control, "rb"), os.fdopen(lines, "wb"), os.fdopen(status, "wb")]
        reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), files[0])
        saying, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, files[1])
        answering, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, files[2])
        self._transports += [reading, saying, answering]
        return reader, saying, answering

    async def _converse(
        self, control: asyncio.StreamReader, lines: asyncio.WriteTransport, status: asyncio.WriteTransport
    ) -> None:
        """The hostd side of the hook."""
        try:
            received = await _read_control(control, self._repository)
            if received is None:
                return  # git refused the push before the hook
            status.write(b"0\n" if await self._ask(received, lines) else b"1\n")
        finally:
            lines.close()
            status.close()

    async def _ask(self, received: Received, lines: asyncio.WriteTransport) -> bool:
        def say(line: str) -> None:
            lines.write(line.encode(errors="replace") + b"\n")

        try:
            await self._decide(received, say)
        except HostdError as error:
            self._report.refused = error.message
            say("")
            for text in filter(None, (error.message, error.hint)):
                say(f" !     {text}")
            return False
        return True

    async def _decide(self, received: Received, say: Say) -> None:
        try:
            async with asyncio.timeout(DECISION_LIMIT):
                await _check_sizes(received)
                await self._gate(received, say)
        except TimeoutError as error:
            raise LimitExceeded(f"the push took longer than {DECISION_LIMIT:.0f} s in all") from error


async def _read_control(control: asyncio.StreamReader, repository: Path) -> Received | None:
    """The hook's pid and refs; quarantine and options come from its environment. None if no hook ran."""
    text = b""
    while not text.endswith(b"\n.\n") and (data := await control.read(65536)):
        text += data
    if not text.endswith(b".\n"):
        return None
    pid, *rows = text.decode(errors="replace").split("\n")[:-2]  # ref names may hold other line separators
    hook = _environment_of(int(pid))
    count = int(hook.get(b"GIT_PUSH_OPTION_COUNT", b"0"))
    quarantine = hook.get(b"GIT_QUARANTINE_PATH")
    return Received(
        repository,
        repository / os.fsdecode(quarantine) if quarantine else None,
        tuple(RefUpdate(*row.split(" ", 2)) for row in rows),
        tuple(hook[f"GIT_PUSH_OPTION_{n}".encode()].decode(errors="replace") for n in range(count)),
    )


def _environment_of(pid: int) -> dict[bytes, bytes]:
    raw = Path(f"/proc/{pid}/environ").read_bytes()
    return dict(item.partition(b"=")[::2] for item in raw.split(b"\0"))


async def _last_of(stream: asyncio.StreamReader) -> bytes:
    """Read to the end, so that git never waits for a reader; the last COMPLAINT_LIMIT bytes."""
    kept = b""
    while data := await stream.read(65536):
        kept = (kept + data)[-COMPLAINT_LIMIT:]
    return kept


async def _check_sizes(received: Received) -> None:
    """Refuse a push that inflates past the limits: `receive.maxInputSize` only counts packed bytes."""
    if received.quarantine is None:
        return
    env = environment({"GIT_DIR": str(received.repository), "GIT_OBJECT_DIRECTORY": str(received.quarantine)})
    words = ("cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objectsize) %(objecttype)")
    total = count = largest = longest = 0

    def add(line: str) -> None:
        nonlocal total, count, largest, longest
        size, _, kind = line.partition(" ")
        if size.isdigit():
            total, count = total + int(size), count + 1
            largest = max(largest, int(size) if kind == "blob" else 0)
            longest = max(longest, int(size) if kind != "blob" else 0)

    result = await command.run(git(*words, env=env), add)
    if result.status != 0:
        raise Unavailable(f"git could not measure this push (status {result.status})")
    if largest > OBJECT_LIMIT:
        raise LimitExceeded(
            f"a file of {_mib(largest)} in this push; the limit is {_mib(OBJECT_LIMIT)} per file",
            hint="keep big files in object storage; git rm it and amend, or git filter-repo if it is in the history",
        )
    if longest > RECORD_LIMIT:
        raise LimitExceeded(
            f"a commit, tag or directory of {_mib(longest)} in this push; the limit is {_mib(RECORD_LIMIT)}"
        )
    if total > UNPACKED_LIMIT or count > OBJECTS_LIMIT:
        raise LimitExceeded(f"unpacked size {_mib(total)} in {count} objects exceeds {_mib(UNPACKED_LIMIT)}")


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:.0f} MiB"
