"""Processes by descriptor: one that ends makes its pidfd readable, whether it is hostd's child or was adopted."""

import asyncio
import contextlib
import os
import select
from collections.abc import Sequence
from pathlib import Path

SHELLS = frozenset({"sh", "dash", "bash", "ash", "zsh"})


def alive_in(pid: int, cgroup: str) -> int | None:
    """A pidfd of `pid` if it lives in a cgroup whose path ends in `cgroup`: no other process ever has that place."""
    if not pid:
        return None
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    if any(line.endswith(cgroup) for line in lines) and not _readable(pidfd):
        return pidfd
    _reap(pidfd)
    os.close(pidfd)
    return None


async def ended(pidfd: int) -> None:
    """Wait until the process has ended, and take its exit status from the kernel if that is for hostd to do."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_reader(pidfd, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(pidfd)
    _reap(pidfd)


def shells_that_wait(pids: Sequence[int]) -> set[int]:
    """Those of `pids` that are a shell with a child among them: told to end, it would go first and take along what
    it waits for, whose turn it is to end in its own way."""
    parents = {_parent(pid) for pid in pids}
    return {pid for pid in pids if pid in parents and _name(pid) in SHELLS}


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        # after the name in parentheses, which may hold anything: state, parent (proc(5), stat)
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def listeners(pid: int) -> list[str]:
    """`address:port` of each TCP socket that listens in the network namespace of `pid` (proc(5), net/tcp)."""
    found: set[str] = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
            found |= {_address(line.split()[1]) for line in lines if line.split()[3] == "0A"}
    return sorted(found)


def _reap(pidfd: int) -> None:
    with contextlib.suppress(ChildProcessError):  # the usual case: the machine's first process is its parent
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)


def _readable(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], 0)[0])


def _address(text: str) -> str:
    """From the kernel's form: 32-bit words of the address in the machine's byte order, then the port, in hex."""
    words, port = text.split(":")
    raw = b"".join(bytes.fromhex(words[i : i + 8])[::-1] for i in range(0, len(words), 8))
    if len(raw) == 4:
        return f"{'.'.join(str(byte) for byte in raw)}:{int(port, 16)}"
    if not any(raw):
        return f"[::]:{int(port, 16)}"
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        return f"{'.'.join(str(byte) for byte in raw[12:])}:{int(port, 16)}"
    groups = ":".join(f"{int.from_bytes(raw[i : i + 2], 'big'):x}" for i in range(0, 16, 2))
    return f"[{groups.replace('0:0:0:0:0:0:0:1', '::1')}]:{int(port, 16)}"
