"""Changes: what a Release has otherwise than the one that served before it. Values of config are no part of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hostd.model.release import Release


@dataclass(frozen=True, slots=True)
class CommitLine:
    """A commit's id and the first line of its message."""

    commit: str
    summary: str


@dataclass(frozen=True, slots=True)
class Names:
    """What became of names, each sorted."""

    added: Sequence[str]
    changed: Sequence[str]
    removed: Sequence[str]


@dataclass(frozen=True, slots=True)
class Changes:
    """Against the Release `since`; "" for the first, in which all is new.

    `commits` came with it, `withdrawn` are those it went back behind; newest first, as far as the repository has them.
    """

    since: str
    commits: Sequence[CommitLine]
    withdrawn: Sequence[CommitLine]
    config: Names
    processes: Names
    same_image: bool


def changes_between(
    before: Release | None, after: Release, commits: Sequence[CommitLine], withdrawn: Sequence[CommitLine]
) -> Changes:
    """What `after` changed."""
    return Changes(
        since=before.name if before else "",
        commits=commits,
        withdrawn=withdrawn,
        config=_names(before.config if before else {}, after.config),
        processes=_names(_commands(before) if before else {}, _commands(after)),
        same_image=before is not None and before.image.digest == after.image.digest,
    )


def _commands(release: Release) -> Mapping[str, Sequence[str]]:
    return {process.name: process.command for process in release.image.processes}


def _names(before: Mapping[str, object], after: Mapping[str, object]) -> Names:
    both = sorted(before.keys() & after.keys())
    return Names(
        added=sorted(after.keys() - before.keys()),
        changed=[name for name in both if before[name] != after[name]],
        removed=sorted(before.keys() - after.keys()),
    )
