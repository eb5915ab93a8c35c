"""Source: the tree of one commit, exported to disk."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """`directories` merged, topmost first, are exactly the files of `commit`; nobody writes to them again.

    Regular files have mode 0644 or 0755, their modification times come from their content (equal content, equal
    time), and everything belongs to the App's own uid. `tree` is git's id of the root tree.
    """

    commit: str
    tree: str
    directories: tuple[Path, ...]
