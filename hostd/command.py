"""The one place that runs programs. A `Command` is a value; a list of words, never a line for a shell.

`Command.env` is the whole environment of the child: nothing of hostd's own is inherited.
"""

import asyncio
import contextlib
import os
import resource
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL as DEVNULL
from subprocess import PIPE as PIPE
from subprocess import STDOUT as STDOUT

from hostd.errors import Unavailable

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEPT_LINES = 200
LINE_LIMIT = 16 * 1024  # bytes; a longer line is cut into pieces of this length


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, whole environment, working directory and standard input.

    `memory` bounds its address space, in bytes, `cpu_seconds` its work, `file_bytes` each file it writes, and of each
    of its children as much; 0 is no bound.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=lambda: {"PATH": PATH, "LANG": "C.UTF-8"})
    cwd: Path | None = None
    input: bytes = b""
    memory: int = 0
    cpu_seconds: int = 0
    file_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """How a Command ended. `status` is negative for a signal; `output` is stdout and stderr together."""

    status: int
    output: str


class CommandFailed(Exception):
    """A Command that had to succeed did not. Callers turn it into words of their own."""

    def __init__(self, command: Command, result: Result) -> None:
        super().__init__(f"{command.argv[0]} ended with {result.status}: {result.output[-2000:].strip()}")
        self.result = result


async def run(command: Command, on_line: Callable[[str], None] | None = None) -> Result:
    """Run to the end; give each line of output to `on_line` as it comes. Never raises for an exit status.

    With `on_line` only the last lines are kept for the Result.

    Cancelled, it kills the child's whole session. Raises Unavailable if the program is not installed.
    """
    process = await spawn(command, stdin=PIPE if command.input else DEVNULL, stdout=PIPE, stderr=STDOUT)
    lines: deque[str] = deque(maxlen=KEPT_LINES if on_line else None)

    def keep(line: str) -> None:
        lines.append(line)
        if on_line:
            on_line(line)

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_feed(process, command.input))
            assert process.stdout
            tasks.create_task(each_line(process.stdout, keep))
        status = await process.wait()
    except BaseException:
        await asyncio.shield(end(process))
        raise
    return Result(status, "\n".join(lines))


async def check(command: Command) -> str:
    """Run to the end and return the output. Raises CommandFailed if the exit status is not 0."""
    result = await run(command)
    if result.status != 0:
        raise CommandFailed(command, result)
    return result.output


async def spawn(
    command: Command,
    *,
    stdin: int = DEVNULL,
    stdout: int = DEVNULL,
    stderr: int = DEVNULL,
    pass_fds: Sequence[int] = (),
) -> asyncio.subprocess.Process:
    """Start a child in a session of its own. Raises Unavailable if the program is not installed or cannot be run."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command.argv,
            env=dict(command.env),
            cwd=command.cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise Unavailable(f"{command.argv[0]} is not installed", hint="run: hostd doctor") from error
    except PermissionError as error:
        raise Unavailable(f"{command.argv[0]} may not be run", hint="run: hostd doctor") from error
    except OSError as error:  # an argument may be too long for the kernel, or too many processes there
        raise Unavailable(f"{command.argv[0]} could not be started: {error.strerror}") from error
    _bound(process.pid, resource.RLIMIT_AS, command.memory)
    _bound(process.pid, resource.RLIMIT_CPU, command.cpu_seconds)
    _bound(process.pid, resource.RLIMIT_FSIZE, command.file_bytes)
    return process


def _bound(pid: int, what: int, limit: int) -> None:
    """Set from here: a program in between would cost 2 ms."""
    if limit:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, what, (limit, limit))


def leave(command: Command, *, output: int, pass_fds: Sequence[int] = ()) -> int:
    """Start a child that outlives hostd, in a session of its own, and return its process id.

    asyncio does not know of it: what it starts itself it kills when it lets go of it. `argv[0]` is an absolute path.
    """
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        streams = [
            (os.POSIX_SPAWN_DUP2, null, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ]
        return os.posix_spawn(
            command.argv[0],
            command.argv,
            command.env,
            file_actions=[
                *streams,
                *((os.POSIX_SPAWN_DUP2, descriptor, descriptor) for descriptor in pass_fds),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
    finally:
        os.close(null)


async def end_input(stdin: asyncio.StreamWriter) -> None:
    """Close a child's standard input. That the child has gone by then is no failure."""
    stdin.close()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        # Awaited, or asyncio logs what nobody has asked for; shielded, or a cancellation would reach its own future.
        await asyncio.shield(stdin.wait_closed())


def kill_session(process: asyncio.subprocess.Process) -> None:
    """SIGKILL for the child and everything else in its session's process group, if still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill the child's session and reap it. Nobody else may be reading its output: what is left of that is dropped."""
    kill_session(process)
    if process.stdin:
        await end_input(process.stdin)
    while process.stdout and await process.stdout.read(65536):
        pass  # asyncio takes a child for over only when its output has been read to the end
    await process.wait()


async def each_line(stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
    """Decode `stream` into lines of at most LINE_LIMIT bytes; bytes that are not UTF-8 become U+FFFD."""
    rest = b""
    while chunk := await stream.read(65536):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            _give(line, on_line)
        while len(rest) > LINE_LIMIT:
            _give(rest[:LINE_LIMIT], on_line)
            rest = rest[LINE_LIMIT:]
    if rest:
        _give(rest, on_line)


def _give(line: bytes, on_line: Callable[[str], None]) -> None:
    for start in range(0, max(len(line), 1), LINE_LIMIT):
        on_line(line[start : start + LINE_LIMIT].decode(errors="replace").rstrip("\r"))


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    if process.stdin:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(data)
            await process.stdin.drain()
        await end_input(process.stdin)
