"""Reading what tenants wrote, by the host itself: no symbolic link is followed anywhere, and sizes are capped."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hostd.errors import BuildFailed

FILE_LIMIT = 256 * 1024  # bytes
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read(directory: Path, name: str, limit: int = FILE_LIMIT) -> bytes | None:
    """The file `name`, a relative path below `directory`, or None if it is not there.

    Raises BuildFailed if it or a directory on the way is a symbolic link, is no regular file, or holds more than
    `limit` bytes.
    """
    try:
        with _opened_parent(directory, name) as (parent, last):
            descriptor = os.open(last, _FILE, dir_fd=parent)
    except FileNotFoundError:
        return None
    except OSError as error:  # ELOOP or ENOTDIR for a link, ENXIO for a socket
        raise BuildFailed(_refusal(directory, name)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BuildFailed(f"{name} is not a regular file; refused")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise BuildFailed(f"{name} is larger than {limit // 1024} KiB; refused")
    return content


def is_file(directory: Path, name: str) -> bool:
    """Whether there is a regular file `name` below `directory`; a directory or nothing is none.

    Raises BuildFailed for what only the sandbox may follow: a symbolic link, also on the way.
    """
    place = directory
    for part in name.split("/"):
        place = place / part
        try:
            mode = place.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return False
        if stat.S_ISLNK(mode):
            raise BuildFailed(f"{name} is a symbolic link")
    return stat.S_ISREG(mode)


def is_directory(directory: Path, name: str) -> bool:
    """Whether `name` below `directory` is a directory that is reached without a symbolic link."""
    try:
        with _opened_parent(directory, name) as (parent, last):
            os.close(os.open(last, _DIRECTORY, dir_fd=parent))
    except OSError:
        return False
    return True


def names(directory: Path, name: str) -> list[str]:
    """What is in the directory `name` below `directory`, sorted; empty if there is no such directory."""
    try:
        with _opened_parent(directory, name) as (parent, last):
            descriptor = os.open(last, _DIRECTORY, dir_fd=parent)
    except OSError:
        return []
    try:
        return sorted(os.listdir(descriptor))  # noqa: PTH208 - pathlib cannot list a descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _opened_parent(directory: Path, name: str) -> Iterator[tuple[int, str]]:
    *parents, last = [part for part in name.split("/") if part != "."] or ["."]
    if ".." in (*parents, last) or name.startswith("/") or "\0" in name:
        raise BuildFailed(f"{name!r} is not a path inside the app")
    descriptor = os.open(directory, _DIRECTORY)
    try:
        for part in parents:
            inner = os.open(part, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor, last
    finally:
        os.close(descriptor)


def _refusal(directory: Path, name: str) -> str:
    parts = name.split("/")
    for count in range(1, len(parts) + 1):
        part = "/".join(parts[:count])
        if (directory / part).is_symlink():
            return f"{part} is a symlink; refused"
    return f"{name} is not a regular file; refused"
