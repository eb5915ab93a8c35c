"""Mounts by the system call itself: a program to do it would cost more than the mount (2 ms against 0.1).

Everything is mounted nosuid and nodev, and from a source that tells it from what the operator mounted. Directories
come from hostd's own store, so their names hold no `:` or `,`.
"""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV = 1, 2, 4
MNT_DETACH = 2
SOURCE = "hostd"

_libc = ctypes.CDLL(None, use_errno=True)


def overlay(
    target: Path, lowers: Sequence[Path], upper: Path | None = None, work: Path | None = None
) -> None:
    """Mount `lowers` (topmost first) merged at `target`; with `upper` and `work` it can be written.

    Raises OSError.
    """
    target.mkdir(parents=True, exist_ok=True)
    options = "lowerdir=" + ":".join(str(lower) for lower in lowers)
    if upper is None:
        if len(lowers) == 1:
            empty = target.parent / ".empty"
            empty.mkdir(exist_ok=True)
            options += f":{empty}"  # overlayfs wants two layers where none is writable
        return _mount(target, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, options)
    assert work
    return _mount(target, "overlay", MS_NOSUID | MS_NODEV, f"{options},upperdir={upper},workdir={work}")


def tmpfs(target: Path, *, size_mb: int, mode: int = 0o755, owner: int = 0) -> None:
    """Mount an empty file system in memory; it counts against whoever writes to it. Raises OSError."""
    target.mkdir(parents=True, exist_ok=True)
    options = f"size={size_mb}m,mode={mode:o},uid={owner},gid={owner}"
    _mount(target, "tmpfs", MS_NOSUID | MS_NODEV, options)


def unmount(target: Path) -> None:
    """Detach what is mounted at `target`; nothing if nothing is. Users of it keep their view."""
    _libc.umount2(os.fsencode(target), MNT_DETACH)


def below(prefix: Path) -> list[Path]:
    """Every mount point of hostd's at or under `prefix`, deepest first (proc(5), /proc/pid/mountinfo)."""
    lines = (line.split(" ") for line in Path("/proc/self/mountinfo").read_text().splitlines())
    points = [Path(fields[4].encode().decode("unicode_escape")) for fields in lines if fields[-2] == SOURCE]
    return sorted((point for point in points if point.is_relative_to(prefix)), reverse=True)


def _mount(target: Path, kind: str, flags: int, options: str) -> None:
    arguments = (SOURCE.encode(), os.fsencode(target), kind.encode(), flags, options.encode())
    if _libc.mount(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot mount {kind}: {os.strerror(number)}", str(target))
