"""The digest of a directory's content, and what may be in one: the same walk reads, checks and counts."""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hostd.errors import BuildFailed, LimitExceeded

FILES_LIMIT = 500_000
SIZE_LIMIT_MB = 8192
DEPTH_LIMIT = 100
OPAQUE = "trusted.overlay.opaque"
_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """What a directory holds. `size` in bytes."""

    digest: str
    files: int
    size: int

    def __str__(self) -> str:
        units = (("MB", 1_000_000), ("kB", 1_000), ("bytes", 1))
        unit, factor = next((each for each in units if self.size >= each[1]), units[-1])
        size = f"{self.size / factor:.1f} {unit}" if factor > 1 else f"{self.size} bytes"
        return f"{self.files:,} file{'' if self.files == 1 else 's'}, {size}"


def of(root: Path, label: str) -> Content:
    """sha256 over names, types, permissions, link targets and bytes below `root`; not over times and owners.

    `label` goes into the digest too and names the directory in messages. Set-uid and set-gid bits are removed from
    the files. Whiteouts of overlayfs are content like any other. Raises BuildFailed for devices, FIFOs and sockets,
    LimitExceeded for more than FILES_LIMIT files or SIZE_LIMIT_MB. Nobody else may be writing.
    """
    total = hashlib.sha256(f"hostd.content.1\0{label}\0".encode())
    files = size = 0
    for path, name, status in _walk(str(root), "", 0):
        files += 1
        size += status.st_size if stat.S_ISREG(status.st_mode) else 0
        if files > FILES_LIMIT or size > SIZE_LIMIT_MB * 1024 * 1024:
            raise LimitExceeded(f"{label} has more than {FILES_LIMIT:,} files or {SIZE_LIMIT_MB} MB")
        total.update(_head(path, name, status, label))
        if stat.S_ISREG(status.st_mode):
            _add_bytes(total, path)
    return Content(f"sha256:{total.hexdigest()}", files, size)


def is_whiteout(status: os.stat_result) -> bool:
    """Whether it is how overlayfs notes that a file of a lower directory is gone."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: str | Path) -> bool:
    """Whether overlayfs shows nothing of lower directories in this one."""
    try:
        return os.getxattr(path, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def _walk(directory: str, prefix: str, depth: int) -> Iterator[tuple[str, str, os.stat_result]]:
    if depth > DEPTH_LIMIT:
        raise LimitExceeded(f"{prefix[:80]} is nested deeper than {DEPTH_LIMIT} directories")
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        status = entry.stat(follow_symlinks=False)
        name = prefix + entry.name
        yield entry.path, name, status
        if stat.S_ISDIR(status.st_mode):
            yield from _walk(entry.path, f"{name}/", depth + 1)


def _head(path: str, name: str, status: os.stat_result, label: str) -> bytes:
    permissions = stat.S_IMODE(status.st_mode)
    if permissions & 0o6000 and not stat.S_ISLNK(status.st_mode):
        permissions &= ~0o6000
        Path(path).chmod(permissions)
    if stat.S_ISREG(status.st_mode):
        kind, extra = b"f", str(status.st_size).encode()
    elif stat.S_ISDIR(status.st_mode):
        kind, extra = b"d", b"opaque" if is_opaque(path) else b""
    elif stat.S_ISLNK(status.st_mode):
        kind, extra, permissions = b"l", os.fsencode(os.readlink(path)), 0o777  # noqa: PTH115 - may not be UTF-8
    elif is_whiteout(status):
        kind, extra = b"w", b""
    else:
        raise BuildFailed(
            f"unsupported entry type: {ascii(name)[1:-1][:80]} in {label}",
            hint="remove it at the build's end",
        )
    return b"\0".join([kind, os.fsencode(name), b"%o" % permissions, extra]) + b"\0\0"


def _add_bytes(total: "hashlib._Hash", path: str) -> None:
    with Path(path).open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
