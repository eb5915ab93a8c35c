"""The whole configuration and environment of every git child. Nothing is read from the machine or the repository's
owner: the environment wins over a repository's own config file."""

import re
from collections.abc import Mapping
from pathlib import Path

from hostd.command import PATH, Command, run
from hostd.errors import Unavailable

VERSION = (2, 39)  # the oldest that hostd is tested with

PACK_LIMIT = 512 * 1024 * 1024  # bytes a client may send in one push
MEMORY_LIMIT = 2 * 1024 * 1024 * 1024  # address space of one git child, mapped packs included
CPU_LIMIT = 300  # seconds of work of one git child: 100 KB of deltas can stand for terabytes
HOOKS = Path(__file__).with_name("hooks")

# Old histories have these; refusing would lock their owners out. Nor may git warn of each: nobody reads what it says
# until it has read the whole push, and what is not read stops it.
_UNHARMFUL = {
    f"receive.fsck.{name}": "ignore"
    for name in (
        "badTagName",
        "badTimezone",
        "gitattributesSymlink",
        "gitignoreSymlink",
        "gitmodulesParse",
        "mailmapSymlink",
        "missingSpaceBeforeDate",
        "missingTaggerEntry",
        "zeroPaddedFilemode",
    )
}
_SETTINGS: Mapping[str, str] = {
    "core.hooksPath": str(HOOKS),
    "core.fsync": "committed,reference",
    "core.symlinks": "true",
    "core.protectNTFS": "false",  # a file called `con` or `a~1` harms nobody here; fsck still refuses .git aliases
    "gc.auto": "0",
    "protocol.file.allow": "never",
    "receive.advertisePushOptions": "true",
    "receive.autogc": "false",
    "receive.denyDeleteCurrent": "ignore",  # model.push refuses it, with a hint
    "receive.denyDeletes": "false",
    "receive.denyNonFastForwards": "false",
    "receive.fsckObjects": "true",
    "receive.fsck.badFilemode": "error",
    **_UNHARMFUL,
    "receive.keepAlive": "5",
    "receive.maxInputSize": str(PACK_LIMIT),
    "receive.shallowUpdate": "true",
    "receive.unpackLimit": "1",
    "safe.directory": "*",
    "transfer.hideRefs": "refs/hostd",
    "uploadpack.allowFilter": "true",
    "uploadpack.hideRefs": "refs/hostd",
}


def environment(
    extra: Mapping[str, str] | None = None, settings: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment of a git child: our settings and further ones, no config file of the machine, no home."""
    configured = {**_SETTINGS, **(settings or {})}
    env = {
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": str(len(configured)),
    }
    for number, (key, value) in enumerate(configured.items()):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    return env | dict(extra or {})


def git(*words: str, env: Mapping[str, str]) -> Command:
    """A git child whose memory and work have an end (a 66 KB delta bomb wants 1 GB otherwise)."""
    return Command(("git", *words), env, memory=MEMORY_LIMIT, cpu_seconds=CPU_LIMIT)


async def check_installed() -> None:
    """Raises Unavailable if there is no git, or one that is too old."""
    said = (await run(Command(("git", "--version")))).output.strip()
    numbers = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    if numbers < VERSION:
        needed = ".".join(map(str, VERSION))
        raise Unavailable(f"{said[:80]} is too old: {needed} is needed", hint="run: apt-get install git")
