"""Push: one ref update by a User, and the pure decision what a whole push may do.

`git receive-pack` has checked objects and ref names by then; what it does not know (which branch deploys, that a
push which must lose should not be built) is decided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hostd.errors import Conflict, Invalid
from hostd.model.app import App, User

ZERO = "0" * 40
REFS_LIMIT = 100
NAME_LIMIT = 250
OPTIONS_LIMIT = 16
OPTION_LENGTH = 1024
OPTIONS = frozenset({"redeploy", "clear-cache"})


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One line of a push: `old` and `new` are object ids of 40 hex digits, ZERO for "not there"."""

    old: str
    new: str
    ref: str

    @property
    def branch(self) -> str | None:
        """The branch name, or None for what is not a branch."""
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else None

    @property
    def deletes(self) -> bool:
        """True for the removal of a ref."""
        return self.new == ZERO


@dataclass(frozen=True, slots=True)
class Push:
    """What is deployed: `commit`, whose message begins with `summary`, arrived on `branch` of `app`.

    Its objects are in `quarantine` until git has moved the ref; None if the repository had them already.
    """

    app: App
    user: User
    branch: str
    commit: str
    summary: str
    quarantine: Path | None
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a push does: at most one update deploys; `notes` say what happens to the others."""

    deploy: RefUpdate | None
    notes: tuple[str, ...]


def decide(
    updates: Sequence[RefUpdate],
    production: str,
    kinds: Mapping[str, str],
    tips: Mapping[str, str],
) -> Decision:
    """What to do with `updates`. `kinds`: object id -> "commit", "tag", ...; `tips`: ref -> object id now.

    Raises Invalid or Conflict, in the pusher's words, for a push that must be refused as a whole.
    """
    _check_refs(updates)
    notes: list[str] = []
    deploy: RefUpdate | None = None
    for update in updates:
        if update.branch == production:
            deploy = _deployable(update, production, kinds, tips)
        else:
            notes.append(_note(update, production))
    return Decision(deploy, tuple(notes))


def production_branch(current: str, updates: Sequence[RefUpdate], tips: Mapping[str, str]) -> str:
    """The branch that deploys: `current`, unless nothing was ever pushed to it and `master` comes without it."""
    branches = {update.branch for update in updates if not update.deletes}
    never_pushed = f"refs/heads/{current}" not in tips and current not in branches
    return "master" if never_pushed and branches == {"master"} else current


def parse_options(options: Sequence[str]) -> Mapping[str, str]:
    """`-o key=value` of a push. Raises Invalid for too many, too long or unknown ones."""
    if len(options) > OPTIONS_LIMIT:
        raise Invalid(f"too many push options ({len(options)}, at most {OPTIONS_LIMIT})")
    parsed: dict[str, str] = {}
    for option in options:
        if len(option) > OPTION_LENGTH:
            raise Invalid(f"push option too long ({len(option)} characters, at most {OPTION_LENGTH})")
        key, _, value = option.partition("=")
        if key not in OPTIONS:
            raise Invalid(f"unknown push option {key[:40]!a}", hint=f"known: {', '.join(sorted(OPTIONS))}")
        parsed[key] = value
    return parsed


def _check_refs(updates: Sequence[RefUpdate]) -> None:
    if len(updates) > REFS_LIMIT:
        raise Invalid(f"too many refs in one push ({len(updates)}, at most {REFS_LIMIT})")
    if len({update.ref for update in updates}) != len(updates):
        raise Invalid("one ref is named twice in this push")
    for update in updates:
        if not update.ref.startswith(("refs/heads/", "refs/tags/", "refs/notes/")):
            raise Invalid(f"{update.ref[:80]!a} is not a branch or a tag", hint="push to refs/heads/NAME")
        if len(update.ref) > NAME_LIMIT:
            raise Invalid(f"ref name too long ({len(update.ref)} characters, at most {NAME_LIMIT})")


def _deployable(
    update: RefUpdate, production: str, kinds: Mapping[str, str], tips: Mapping[str, str]
) -> RefUpdate:
    if update.deletes:
        raise Invalid(
            f"deletion of {production} refused: it is what this app runs",
            hint="to remove the app: hostd apps destroy",
        )
    tip = tips.get(update.ref, ZERO)
    if update.old != tip:
        raise Conflict(
            f"{production} has moved on: it is at {tip[:7]}, this push expected {update.old[:7]}",
            hint="fetch, merge and push again",
        )
    if kinds.get(update.new) != "commit":
        raise Invalid(
            f"{production} would point at a {kinds.get(update.new, 'missing object')}, not a commit"
        )
    return update


def _note(update: RefUpdate, production: str) -> str:
    if update.deletes:
        return f"{update.ref} removed"
    if update.branch is None:
        return f"{update.ref} stored; only branches deploy"
    return f"{update.branch} stored, not deployed: only {production} deploys"
