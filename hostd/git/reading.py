"""Reading a repository with dulwich, in-process: 0.4 to 2 ms a question, no fork.

A Reader also sees what a push has in quarantine. Close it: it holds packs mapped.
"""

import itertools
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from dulwich.diff_tree import tree_changes
from dulwich.errors import MissingCommitError
from dulwich.object_store import BaseObjectStore, DiskObjectStore, OverlayObjectStore
from dulwich.objects import Blob, Commit, ObjectID, Tag, Tree, TreeEntry
from dulwich.refs import DiskRefsContainer
from dulwich.walk import Walker

from hostd.errors import LimitExceeded

CHANGES_LIMIT = 100_000  # directories included
STEPS_LIMIT = 2000  # from commit to parent, to find out what lies between two


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a tree: `path` in bytes as git has it, `mode` as git has it, object id in hex."""

    path: bytes
    mode: int
    sha: bytes

    @property
    def submodule(self) -> bool:
        """True for a gitlink."""
        return stat.S_IFMT(self.mode) == 0o160000

    @property
    def directory(self) -> bool:
        """True for a tree."""
        return stat.S_ISDIR(self.mode)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one path between two trees; None where it is not there."""

    old: Entry | None
    new: Entry | None


class Reader:
    """Answers questions about one repository. Raises KeyError for objects that are not there."""

    def __init__(self, repository: Path, quarantine: Path | None = None) -> None:
        self._repository = repository
        self._stores = [DiskObjectStore(path) for path in (quarantine, repository / "objects") if path]
        self.objects: BaseObjectStore = OverlayObjectStore(list(self._stores))

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for store in self._stores:
            store.close()

    def kind(self, sha: str) -> str | None:
        """ "commit", "tree", "blob", "tag", or None if there is no such object."""
        try:
            return self.objects[ObjectID(sha.encode())].type_name.decode()
        except KeyError:
            return None

    def tips(self) -> Mapping[str, str]:
        """Every branch and tag with its object id."""
        refs = DiskRefsContainer(self._repository).as_dict()
        named = {name.decode(errors="replace"): sha.decode() for name, sha in refs.items()}
        return {name: sha for name, sha in named.items() if name.startswith("refs/")}

    def tree_of(self, commit: str) -> str:
        """The id of a commit's root tree."""
        found = self.objects[ObjectID(commit.encode())]
        while isinstance(found, Tag):
            found = self.objects[found.object[1]]
        assert isinstance(found, Commit)
        return str(found.tree, "ascii")

    def summary(self, commit: str) -> str:
        """The first line of a commit's message, cut at 72 characters."""
        found = self.objects[ObjectID(commit.encode())]
        assert isinstance(found, Commit)
        return str(found.message, errors="replace").strip().partition("\n")[0][:72]

    def commits(self, new: str, old: str, limit: int) -> Sequence[tuple[str, str]]:
        """Ids and summaries of what is in `new` and not in `old` ("": `new` itself), newest first, `limit` at most.

        What the repository lacks is left out: it may have been pushed from a shallow clone, or be collected. So is
        what is more than STEPS_LIMIT steps back: all of a long history takes minutes.
        """
        if (old and self.kind(old) is None) or self.kind(new) is None:
            old = ""
        excluded = [ObjectID(old.encode())] if old else []
        found: list[tuple[str, str]] = []
        steps = itertools.count(1)

        def parents(commit: Commit) -> list[ObjectID]:
            return commit.parents if next(steps) <= STEPS_LIMIT else []

        with suppress(MissingCommitError):
            walker = Walker(
                self.objects,
                [ObjectID(new.encode())],
                exclude=excluded,
                max_entries=limit if old else 1,
                get_parents=parents,
            )
            for entry in walker:
                commit = str(entry.commit.id, "ascii")
                found.append((commit, self.summary(commit)))
        return found

    def changes(self, old: str, new: str) -> Iterator[Change]:
        """The paths that differ between two trees, but not directories. Raises LimitExceeded for endless trees."""
        pair = (ObjectID(old.encode()), ObjectID(new.encode()))
        for number, change in enumerate(tree_changes(self.objects, *pair, include_trees=True)):
            if number == CHANGES_LIMIT:
                raise LimitExceeded("too many directories", hint="leave out what is generated")
            sides = [_entry(change.old), _entry(change.new)]
            if any(sides):
                yield Change(*sides)

    def content(self, sha: bytes) -> bytes:
        """A blob's bytes."""
        blob = self.objects[ObjectID(sha)]
        assert isinstance(blob, Blob)
        return blob.data

    def file(self, tree: str, path: bytes) -> bytes | None:
        """The content of the regular file at `path`, or None if there is none."""
        found = self.at(tree, path)
        return self.content(found.sha) if found and stat.S_ISREG(found.mode) else None

    def at(self, tree: str, path: bytes) -> Entry | None:
        """What is at `path`, a directory included, or None."""
        mode, sha = stat.S_IFDIR, tree.encode()
        for part in path.split(b"/"):
            if not stat.S_ISDIR(mode):
                return None
            directory = self.objects[ObjectID(sha)]
            assert isinstance(directory, Tree)
            try:
                mode, sha = directory[part]
            except KeyError:
                return None
        return Entry(path, mode, sha)


def _entry(side: TreeEntry | None) -> Entry | None:
    """One side of a change, unless nothing or a directory is there."""
    if side is None or side.path is None or side.mode is None or side.sha is None or stat.S_ISDIR(side.mode):
        return None
    return Entry(side.path, side.mode, side.sha)
