"""What overlayfs changed in a directory, looked at and made into a directory of its own.

`lower` is the directory as it was, stored and never written again; `upper` what overlayfs wrote over it.
"""

import errno
import os
import shutil
import stat
from pathlib import Path

from hostd.build.digest import DEPTH_LIMIT, is_opaque, is_whiteout
from hostd.errors import LimitExceeded


def same(lower: Path, upper: Path, depth: int = 0) -> bool:
    """Whether `upper` says nothing new: files written again with the bytes they had do not count."""
    _check_depth(depth)
    with os.scandir(upper) as entries:
        return not is_opaque(upper) and all(
            _same_entry(lower / entry.name, entry, depth) for entry in entries
        )


def fold(lower: Path, upper: Path, target: Path, depth: int = 0) -> None:
    """Make `target`, which is not there yet, what the two merged were. Unchanged files are hard links.

    Moves out of `upper`, which is worth nothing afterwards. It must not be mounted any more. Raises
    LimitExceeded for more than DEPTH_LIMIT directories in each other.
    """
    _check_depth(depth)
    target.mkdir()
    with os.scandir(upper) as entries:
        changed = {entry.name: entry for entry in entries}
    kept = {} if is_opaque(upper) else {entry.name: entry for entry in os.scandir(lower)}
    for name, entry in changed.items():
        below = kept.pop(name, None)
        if is_whiteout(entry.stat(follow_symlinks=False)):
            continue
        if entry.is_dir(follow_symlinks=False) and below and below.is_dir(follow_symlinks=False):
            fold(Path(below.path), Path(entry.path), target / name, depth + 1)
        else:
            Path(entry.path).rename(target / name)
    for entry in kept.values():
        _link(entry, target / entry.name, depth + 1)
    _copy_directory_facts(upper, target)


def _same_entry(below: Path, entry: "os.DirEntry[str]", depth: int) -> bool:
    status = entry.stat(follow_symlinks=False)
    try:
        before = below.lstat()
    except FileNotFoundError:
        return False
    if before.st_mode != status.st_mode:
        return False  # also for a whiteout
    if stat.S_ISDIR(status.st_mode):
        return same(below, Path(entry.path), depth + 1)
    if stat.S_ISLNK(status.st_mode):
        return below.readlink() == Path(entry.path).readlink()
    if not stat.S_ISREG(status.st_mode) or before.st_size != status.st_size:
        return False
    return _same_bytes(below, Path(entry.path))


def _same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as left, other.open("rb") as right:
        while chunk := left.read(1024 * 1024):
            if right.read(len(chunk)) != chunk:
                return False
    return True


def _link(entry: "os.DirEntry[str]", target: Path, depth: int) -> None:
    _check_depth(depth)
    if entry.is_dir(follow_symlinks=False):
        target.mkdir()
        with os.scandir(entry.path) as inner:
            for each in inner:
                _link(each, target / each.name, depth + 1)
        return _copy_directory_facts(Path(entry.path), target)
    try:
        os.link(entry.path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        shutil.copy2(entry.path, target)
        status = entry.stat(follow_symlinks=False)
        os.chown(target, status.st_uid, status.st_gid)


def _copy_directory_facts(source: Path, target: Path) -> None:
    status = source.lstat()
    os.chown(target, status.st_uid, status.st_gid)
    target.chmod(stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _check_depth(depth: int) -> None:
    if depth > DEPTH_LIMIT:
        raise LimitExceeded(f"a layer is nested deeper than {DEPTH_LIMIT} directories")
