"""What the .gitattributes of a tree say about its files (gitattributes(5)); they may lie in any directory."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from hostd.git.reading import Change, Entry

NAME = b".gitattributes"
READ_LIMIT = 1024 * 1024  # bytes of one that are looked at
# What makes git write other bytes than it stores; all of it is in these words.
_CONVERSIONS = (b"eol", b"ident", b"working-tree-encoding", b"text")


def texts(root: Path, entries: Iterable[Entry]) -> list[bytes]:
    """The text of each among `entries`, which lie below `root`."""
    found = []
    for entry in entries:
        if entry.path.rpartition(b"/")[2] == NAME and stat.S_ISREG(entry.mode):
            with open(os.path.join(os.fsencode(root), entry.path), "rb") as file:  # noqa: PTH118, PTH123 (bytes)
                found.append(file.read(READ_LIMIT))
    return found


def converts(texts: Iterable[bytes]) -> bool:
    """Whether only git itself can write the files right: line ends, encodings, $Id$."""
    return any(word in text for text in texts for word in _CONVERSIONS)


def changed(changes: Iterable[Change]) -> bool:
    """Whether the rules themselves are other ones now."""
    paths = (entry.path for change in changes for entry in (change.old, change.new) if entry)
    return any(path.rpartition(b"/")[2] == NAME for path in paths)
