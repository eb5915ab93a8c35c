"""The table on disk, from which nginx starts without hostd: all entries as they once were, then one line per change.

Appending makes a change durable in the same time for ten apps and for ten thousand.
"""

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from hostd import files
from hostd.router import table

CHANGES_LIMIT = 1000  # lines; then the file is written anew


class TableFile:
    """Owns the file at `path`. All that is in it counts for the boot `boot_id` only. Methods raise OSError."""

    def __init__(self, path: Path, boot_id: str) -> None:
        self._path = path
        self._boot_id = boot_id
        self._descriptor = -1
        self._changes = 0

    def write(self, entries: Mapping[str, str]) -> None:
        """Put the whole table there, by replacing the file."""
        self.close()
        files.replace(self._path, table.header(self._boot_id) + table.change(entries), mode=0o600)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._changes = 0

    def add(self, change: Mapping[str, str | None], entries: Mapping[str, str]) -> None:
        """Make `change` durable; `entries` is the table that it leads to. Failed, it leaves the file as it was."""
        if self._descriptor < 0 or self._changes >= CHANGES_LIMIT:
            self.write(entries)
            return
        size = os.fstat(self._descriptor).st_size
        line = table.change(change)
        try:
            if os.write(self._descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, size)
            raise
        self._changes += 1

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
