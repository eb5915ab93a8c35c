"""The memory that sandboxes hold and what is left of the machine's, and moving what frozen ones hold to swap.

Only anonymous pages are moved: to read an app's files again made its wake five times as long.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

from hostd.engine import cgroups as groups
from hostd.engine.cgroups import Cgroups

MEMINFO = Path("/proc/meminfo")
_PROCESS_MADVISE = 440  # the same number on every architecture, process_madvise(2)
_PAGEOUT = 21  # MADV_PAGEOUT, madvise(2)
_PIECE = 1 << 30  # bytes; one call takes at most 2 GiB
_MB = 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)


class _Range(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def swap_mb() -> int:
    """Swap that the machine has, in MB, compressed memory included."""
    return _meminfo("SwapTotal")


def free_mb(cgroups: Cgroups) -> int:
    """What Instances may still take, in MB: of the machine's memory, or of its container's where that is less."""
    free = _meminfo("MemAvailable")
    root = cgroups.parents[0].parent
    names = ("memory.max", "memory.current")
    if cgroups.version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    limit, used = (_number(root / name) for name in names)
    if limit is None or used is None:
        return free
    used -= _stat(root, "total_inactive_file" if cgroups.version == 1 else "inactive_file")
    return max(0, min(free, (limit - used) // _MB))


def held_mb(cgroups: Cgroups, name: str) -> int:
    """Anonymous memory of the sandbox `name` in MB, also what is in swap; 0 if it is gone."""
    path = cgroups.of(name)[0]
    if cgroups.version == 1:
        return -(-(_stat(path, "rss") + _stat(path, "swap")) // _MB)
    return -(-(_stat(path, "anon") + (_number(path / "memory.swap.current") or 0)) // _MB)


def reclaim(cgroups: Cgroups, name: str) -> bool:
    """Move the anonymous pages of `name`, which is frozen, to swap; False where there is no room for them.

    Takes milliseconds, more for large ones: to be called in a thread.
    """
    if _meminfo("SwapFree") <= held_mb(cgroups, name):
        return False
    with _swap_allowed(cgroups, name):
        return sum(_page_out(pid) for pid in groups.processes(cgroups, name)) > 0


def ranges(maps: str) -> Iterator[tuple[int, int]]:
    """Start and size in bytes of what is private, writable and of no file, in pieces (proc(5), maps)."""
    for line in maps.splitlines():
        addresses, rights, _, _, inode = line.split()[:5]
        if inode == "0" and rights.startswith("rw") and rights.endswith("p"):
            start, end = (int(address, 16) for address in addresses.split("-"))
            for piece in range(start, end, _PIECE):
                yield piece, min(_PIECE, end - piece)


@contextlib.contextmanager
def _swap_allowed(cgroups: Cgroups, name: str) -> Iterator[None]:
    """Version 2 keeps swap from Instances, so that one that leaks ends. Version 1 limits the sum of both."""
    file = cgroups.of(name)[0] / "memory.swap.max"
    if cgroups.version == 1 or not file.exists():
        yield
        return
    file.write_text("max")
    try:
        yield
    finally:
        file.write_text("0")  # what is in swap stays there


def _page_out(pid: int) -> int:
    """Bytes that the kernel was advised to move; 0 for a process that is gone, or a kernel before 5.10."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return 0
    advised = 0
    try:
        for start, size in ranges(Path(f"/proc/{pid}/maps").read_text()):
            place = _Range(start, size)
            done = _libc.syscall(
                _PROCESS_MADVISE, pidfd, ctypes.byref(place), ctypes.c_size_t(1), _PAGEOUT, 0
            )
            advised += max(0, done)
    except OSError:
        return advised
    finally:
        os.close(pidfd)
    return advised


def _meminfo(key: str) -> int:
    return _stat(MEMINFO.parent, f"{key}:", MEMINFO.name) >> 10


def _stat(directory: Path, key: str, file: str = "memory.stat") -> int:
    try:
        pairs = (line.split()[:2] for line in (directory / file).read_text().splitlines())
        return next((int(value) for name, value in pairs if name == key), 0)
    except OSError:
        return 0


def _number(file: Path) -> int | None:
    """None for "max", and for a file that is not there."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
