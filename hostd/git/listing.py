"""All files of a tree, by C git: a hostile tree has no end, and the event loop must not look for it."""

import asyncio
from collections.abc import Mapping

from hostd import command
from hostd.command import PIPE
from hostd.errors import LimitExceeded, Unavailable
from hostd.git.config import git
from hostd.git.reading import Entry

ENTRIES_LIMIT = 100_000  # files and directories: trees without files can be nested in each other without end
TOTAL_LIMIT = 1024 * 1024 * 1024  # bytes of all files; one blob of a push can stand for many


async def list_files(tree: str, env: Mapping[str, str]) -> list[Entry]:
    """Every file, link and submodule of `tree`. `env` is a git child's. Raises LimitExceeded for too much of a tree."""
    process = await command.spawn(git("ls-tree", "-rtlz", "--full-tree", tree, env=env), stdout=PIPE)
    try:
        assert process.stdout
        entries = await _read(process.stdout)
        status = await process.wait()
    finally:
        if process.returncode is None:
            await command.end(process)
    if status != 0:
        raise Unavailable(f"git could not list the files of this push (status {status})")
    return [entry for entry in entries if not entry.directory]


async def _read(stream: asyncio.StreamReader) -> list[Entry]:
    entries: list[Entry] = []
    total, rest = 0, b""
    while data := await stream.read(65536):
        *records, rest = (rest + data).split(b"\0")
        for record in records:
            facts, _, path = record.partition(b"\t")
            mode, _, sha, size = facts.split()
            entries.append(Entry(path, int(mode, 8), sha))
            total += int(size) if size.isdigit() else 0  # "-" for directories and submodules
        if len(entries) > ENTRIES_LIMIT:
            raise LimitExceeded(
                f"too many files and directories (more than {ENTRIES_LIMIT})",
                hint="leave out what is generated",
            )
        if total > TOTAL_LIMIT:
            raise too_large()
    return entries


def too_large() -> LimitExceeded:
    """What is said of files that are too large in all."""
    return LimitExceeded(
        f"the files are larger than {TOTAL_LIMIT // 1024 // 1024} MiB in all",
        hint="keep big files in object storage",
    )
