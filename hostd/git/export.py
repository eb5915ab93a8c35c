"""Export: the tree of a commit on disk, as a kept base and this push's delta.

The cost of a code-only push must not depend on how many files the app has, so only what differs from the base is
written (overlayfs merges them: regular files, and whiteouts for what is gone). A delta is always against one base;
when it grows past a tenth of the files a new base is folded in the background, never on the deploy path.

Files get a modification time made from their content: equal content, equal time, whatever the push. So byte code
caches stay valid over pushes, ETags made from times are ETags of content, and layers are reproducible.
"""

import asyncio
import itertools
import os
import shutil
import stat
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hostd import command, files
from hostd.errors import BuildFailed, Invalid, LimitExceeded, Unavailable
from hostd.git import attributes
from hostd.git.config import environment, git
from hostd.git.listing import TOTAL_LIMIT, list_files, too_large
from hostd.git.reading import Change, Entry, Reader
from hostd.model.source import Source

CHANGES_LIMIT = 2000  # files that are written one by one; git is faster at more
DEPTH_LIMIT = 64
NAME_LIMIT = 255
FOLD_AT = 0.1  # of the base's files
PLAIN = "plain"  # a base whose files are written as they are stored
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_FIRST_TIME = 1_000_000_000  # 2001; times made from content lie in the 17 years after it


@dataclass(frozen=True, slots=True)
class Objects:
    """Where a commit's objects are: the repository, and the push's quarantine while it lasts."""

    repository: Path
    quarantine: Path | None = None

    def env(self) -> dict[str, str]:
        """The environment by which a git child finds them."""
        if self.quarantine is None:
            return environment({"GIT_DIR": str(self.repository)})
        return environment(
            {
                "GIT_DIR": str(self.repository),
                "GIT_OBJECT_DIRECTORY": str(self.quarantine),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.repository / "objects"),
            }
        )


async def export(objects: Objects, commit: str, sources: Path, owner: int) -> Source:
    """The Source of `commit` below `sources`; everything in it belongs to uid and gid `owner`.

    Raises Invalid or LimitExceeded for a tree that is not to be deployed, Unavailable for a full disk.
    """
    with Reader(objects.repository, objects.quarantine) as reader:
        tree = reader.tree_of(commit)
        base = _base(sources)
        whole = sources / f"base-{tree}"
        if whole.is_dir():
            return Source(commit, tree, (whole,))
        if base is None or not base.plain:
            return Source(commit, tree, (await _whole(objects, tree, sources, owner),))
        delta = sources / f"delta-{base.tree[:12]}-{tree}"
        if not delta.is_dir():
            changes = _changes(reader, base.tree, tree, min(CHANGES_LIMIT, max(500, base.count // 2)))
            if changes is None or attributes.changed(changes):
                return Source(commit, tree, (await _whole(objects, tree, sources, owner),))
            await _to_the_end(asyncio.to_thread(_write_delta, reader, tree, changes, delta, owner))
        return Source(commit, tree, (delta, sources / f"base-{base.tree}"))


async def _to_the_end(work: Coroutine[None, None, None]) -> None:
    """A thread cannot be cancelled: who is cancelled waits for it before the objects are closed beneath it."""
    writing = asyncio.ensure_future(work)
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait({writing})
        raise


async def fold(objects: Objects, source: Source, sources: Path, owner: int) -> None:
    """Make `source` the next base, if its delta has grown enough. For the background."""
    base = _base(sources)
    if base is None or len(source.directories) == 1:
        return
    with Reader(objects.repository, objects.quarantine) as reader:
        if _changes(reader, base.tree, source.tree, int(FOLD_AT * base.count)) is None:
            await _whole(objects, source.tree, sources, owner)


def collect(sources: Path, kept: Iterable[str]) -> None:
    """Remove every export that is neither the base nor among the directories `kept`. For the background."""
    base = _base(sources)
    needed = {Path(path).name for path in kept} | {f"base-{base.tree if base else ''}", "base"}
    for path in sources.iterdir() if sources.is_dir() else ():
        if path.name not in needed:
            shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Base:
    """What deltas are made against: the id of its tree, how many files, and whether hostd can write them itself."""

    tree: str
    count: int
    plain: bool


def _base(sources: Path) -> _Base | None:
    try:
        tree, count, *kind = (sources / "base").read_text().split()
    except FileNotFoundError:
        return None
    return _Base(tree, int(count), kind == [PLAIN])


def _changes(reader: Reader, base: str, tree: str, most: int) -> list[Change] | None:
    """What differs from the base; None if it is more than `most`, or not to be known.

    The base may have come with a push that was refused: then its objects are gone.
    """
    try:
        changes = list(itertools.islice(reader.changes(base, tree), most + 1))
    except KeyError:
        return None
    return changes if len(changes) <= most else None


async def _whole(objects: Objects, tree: str, sources: Path, owner: int) -> Path:
    """Write all of `tree` and make it the base."""
    entries = await list_files(tree, objects.env())
    for entry in entries:
        _check_entry(entry)
    partial, target = sources / f"partial-{tree}-{os.getpid()}", sources / f"base-{tree}"
    try:
        await _check_out(objects, tree, partial)
        rules = await asyncio.to_thread(attributes.texts, partial, entries)
        if any(b"filter=lfs" in text for text in rules):
            await asyncio.to_thread(_check_pointers, partial, entries)
        await asyncio.to_thread(_adopt, partial, entries, owner)
        partial.rename(target)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True))
        raise
    files.replace(
        sources / "base", f"{tree} {len(entries)} {'git' if attributes.converts(rules) else PLAIN}\n".encode()
    )
    return target


async def _check_out(objects: Objects, tree: str, place: Path) -> None:
    _make_empty(place)
    index = place.with_suffix(".index")
    env = objects.env() | {"GIT_WORK_TREE": str(place), "GIT_INDEX_FILE": str(index)}
    result = await command.run(replace(git("read-tree", "-u", "--reset", tree, env=env), cwd=place))
    index.unlink(missing_ok=True)
    if result.status != 0:
        raise _failure(result.output)


def _make_empty(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o755, parents=True)
    place.chmod(0o755)


def _failure(output: str) -> Exception:
    if "No space left" in output or "Disk quota" in output:
        return Unavailable("the disk of this machine is full: the push could not be written")
    said = output.strip().splitlines()[-1:] or ["?"]
    return BuildFailed(f"the push could not be written: {said[0][:200]}")


def _check_entry(entry: Entry) -> None:
    parts = entry.path.split(b"/")
    if len(parts) > DEPTH_LIMIT:
        raise LimitExceeded(
            f"path too deep ({len(parts)} levels, at most {DEPTH_LIMIT}): {_shown(entry.path)}"
        )
    if max(map(len, parts)) > NAME_LIMIT:
        raise LimitExceeded(f"file name too long (at most {NAME_LIMIT} bytes): {_shown(entry.path)}")
    if entry.submodule:
        raise Invalid(
            f"submodule {_shown(entry.path)} refused: submodules are not fetched",
            hint="commit its files instead: git rm --cached PATH; rm -rf PATH/.git; git add PATH",
        )


def _check_pointers(root: Path, entries: Iterable[Entry]) -> None:
    """Refuse LFS pointers: the app would get three lines of text for its file."""
    for entry in entries:
        path = os.path.join(os.fsencode(root), entry.path)  # noqa: PTH118 (bytes: names need not be UTF-8)
        if stat.S_ISREG(entry.mode) and _begins(path, LFS_POINTER):
            raise _pointer(entry.path)


def _begins(path: bytes, prefix: bytes) -> bool:
    with open(path, "rb") as file:  # noqa: PTH123 (bytes)
        return file.read(len(prefix)) == prefix


def _pointer(path: bytes) -> Invalid:
    return Invalid(
        f"LFS pointer found at {_shown(path)}: its content is not in this push",
        hint="commit the file itself (git lfs migrate export), or fetch it from object storage",
    )


def _write_delta(reader: Reader, tree: str, changes: Sequence[Change], delta: Path, owner: int) -> None:
    for change in changes:
        if change.new:
            _check_entry(change.new)
    partial = delta.with_name(f"partial-{delta.name}-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o755)
    os.chown(partial, owner, owner)
    root, total = os.fsencode(partial), 0
    try:
        for change in changes:
            if change.new:
                total += _write(reader, root, change.new, owner)
            if total > TOTAL_LIMIT:
                raise too_large()
        for path in _whiteouts(
            reader, tree, [change.old for change in changes if change.old and not change.new]
        ):
            _parents(root, path, owner)
            os.mknod(os.path.join(root, path), stat.S_IFCHR, os.makedev(0, 0))  # noqa: PTH118
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise _failure(str(error.strerror)) from error
        raise
    partial.rename(delta)


def _write(reader: Reader, root: bytes, entry: Entry, owner: int) -> int:
    """Write one file; its size in bytes."""
    path = os.path.join(root, entry.path)  # noqa: PTH118
    _parents(root, entry.path, owner)
    content = reader.content(entry.sha)
    if stat.S_ISLNK(entry.mode):
        os.symlink(content, path)  # noqa: PTH211
    else:
        if len(content) < 1024 and content.startswith(LFS_POINTER):
            raise _pointer(entry.path)
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(content)
        os.chmod(path, 0o755 if entry.mode & 0o100 else 0o644)  # noqa: PTH101
    os.chown(path, owner, owner, follow_symlinks=False)
    os.utime(path, (_time(entry.sha), _time(entry.sha)), follow_symlinks=False)
    return len(content)


def _parents(root: bytes, path: bytes, owner: int) -> None:
    for end in (index for index, byte in enumerate(path) if byte == ord("/")):
        parent = os.path.join(root, path[:end])  # noqa: PTH118
        if not os.path.isdir(parent):  # noqa: PTH112
            os.mkdir(parent, 0o755)  # noqa: PTH102
            os.chown(parent, owner, owner)


def _whiteouts(reader: Reader, tree: str, gone: Sequence[Entry]) -> list[bytes]:
    """The highest paths that `gone` took with it; a directory whose last file went is gone itself."""
    found: set[bytes] = set()
    for entry in gone:
        parts = entry.path.split(b"/")
        for length in range(1, len(parts) + 1):
            path = b"/".join(parts[:length])
            there = reader.at(tree, path)
            if there is None:
                found.add(path)
            if there is None or not stat.S_ISDIR(there.mode):
                break
    return sorted(found)


def _adopt(root: Path, entries: Iterable[Entry], owner: int) -> None:
    """Give all files their owner and the time made from their content."""
    top = os.fsencode(root)
    directories = {b""}
    for entry in entries:
        path = os.path.join(top, entry.path)  # noqa: PTH118
        os.chown(path, owner, owner, follow_symlinks=False)
        os.utime(path, (_time(entry.sha), _time(entry.sha)), follow_symlinks=False)
        parent = entry.path.rpartition(b"/")[0]
        while parent not in directories:
            directories.add(parent)
            parent = parent.rpartition(b"/")[0]
    for directory in directories:
        os.chown(os.path.join(top, directory), owner, owner)  # noqa: PTH118


def _time(sha: bytes) -> int:
    return _FIRST_TIME + int(sha[:7], 16) * 2


def _shown(path: bytes) -> str:
    return ascii(path[:80].decode(errors="backslashreplace"))
