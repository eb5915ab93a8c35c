"""Push: one ref update by a User, and the pure decision what a whole push may do.

`git receive-pack` has checked objects by then. It looks at ref names only after it has taken the objects in, so what
it would refuse is refused here, where nothing of it is kept; and so is a push that must lose, before it is built.
"""

import re
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
OPTIONS = frozenset({"redeploy", "clear-cache", "resume", "canary"})
_BAD_REF = re.compile(r"[\0-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|[/.]$")  # git-check-ref-format(1)


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
    """What a push does: at most one update deploys, these branches go; `notes` say what happens to the others."""

    deploy: RefUpdate | None
    removed: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BranchRules:
    """Which branches deploy: `production`, and any other one if there are `previews`."""

    production: str
    previews: bool


def decide(
    updates: Sequence[RefUpdate],
    rules: BranchRules,
    kinds: Mapping[str, str],
    tips: Mapping[str, str],
) -> Decision:
    """What to do with `updates`. `kinds`: object id -> "commit", "tag", ...; `tips`: ref -> object id now.

    Raises Invalid or Conflict, in the pusher's words, for a push that must be refused as a whole.
    """
    _check_refs(updates)
    _check_places(updates, tips)
    deploy = candidate(updates, rules)
    if deploy:
        _check_deployable(deploy, rules, kinds, tips)
    removed = [update for update in updates if update.deletes and update.branch]
    for update in removed:
        _check_current(update, tips)
    notes = [_note(update, rules, deploy) for update in updates if update is not deploy]
    return Decision(deploy, tuple(update.branch or "" for update in removed), tuple(notes))


def candidate(updates: Sequence[RefUpdate], rules: BranchRules) -> RefUpdate | None:
    """The update that deploys if nothing is wrong with it: production's, else the only branch there is.

    Several branches without production are several wishes: none is built in the place of another.
    """
    for update in updates:
        if update.branch == rules.production:
            return update
    branches = [update for update in updates if update.branch and not update.deletes]
    return branches[0] if rules.previews and len(branches) == 1 and _can_have_preview(branches[0]) else None


def production_branch(current: str, updates: Sequence[RefUpdate], tips: Mapping[str, str]) -> str:
    """The branch that deploys: `current`, unless it is git's usual one, nothing was ever pushed to it, and git's other
    usual one comes without it. What somebody has chosen stays."""
    branches = {update.branch for update in updates if not update.deletes}
    other = {"main": "master", "master": "main"}.get(current)
    never_pushed = f"refs/heads/{current}" not in tips and current not in branches
    return other if other and never_pushed and branches == {other} else current


def check_branch(branch: str) -> str:
    """`branch`, if a branch may be called so. Raises Invalid."""
    _check_refs([RefUpdate(ZERO, ZERO, f"refs/heads/{branch}")])
    if not branch:
        raise Invalid("a branch needs a name")
    return branch


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
        if _BAD_REF.search(update.ref):
            raise Invalid(f"invalid ref name {update.ref!a}", hint="the rules: git help check-ref-format")


def _check_places(updates: Sequence[RefUpdate], tips: Mapping[str, str]) -> None:
    """A ref is a file: there cannot be one below another."""
    made = {update.ref for update in updates if not update.deletes}
    there = tips.keys() - {update.ref for update in updates if update.deletes} | made
    parents = {(ref, "/".join(ref.split("/")[:end])) for ref in there for end in range(3, ref.count("/") + 1)}
    for ref, parent in sorted(parents):
        if parent in there and not {ref, parent}.isdisjoint(made):
            raise Conflict(f"{ref!a} and {parent!a} cannot both be there", hint="choose another name")


def _check_deployable(
    update: RefUpdate, rules: BranchRules, kinds: Mapping[str, str], tips: Mapping[str, str]
) -> None:
    if update.deletes:
        raise Invalid(
            f"deletion of {rules.production} refused: it is what this app runs",
            hint="to remove the app: hostd apps destroy",
        )
    _check_current(update, tips)
    if kinds.get(update.new) != "commit":
        raise Invalid(
            f"{update.branch} would point at a {kinds.get(update.new, 'missing object')}, not a commit"
        )


def _check_current(update: RefUpdate, tips: Mapping[str, str]) -> None:
    tip = tips.get(update.ref, ZERO)
    if update.old != tip:
        raise Conflict(
            f"{update.branch} has moved on: it is at {tip[:7]}, this push expected {update.old[:7]}",
            hint="fetch, merge and push again",
        )


def _can_have_preview(update: RefUpdate) -> bool:
    """False for a name that is not UTF-8: it came with U+FFFD in it, as others might."""
    return "\ufffd" not in update.ref


def _note(update: RefUpdate, rules: BranchRules, deploy: RefUpdate | None) -> str:
    if update.deletes:
        return f"{update.ref} removed"
    if update.branch is None:
        return f"{update.ref} stored; only branches deploy"
    stored = f"{update.branch} stored, not deployed: "
    if not rules.previews:
        return stored + f"only {rules.production} deploys"
    if not _can_have_preview(update):
        return stored + "a preview needs a name in UTF-8"
    why = f"{deploy.branch} does" if deploy else "one branch at a time does"
    return stored + f"{why}; for a preview: hostd previews create {update.branch}"
