"""Which Group builds the app (Buildpack API 0.12, "Phase #1: Detection"). Pure: what the programs said comes in."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hostd.errors import BuildFailed
from hostd.model import toml
from hostd.model.buildpack import Buildpack, Group, Member

PASS, FAIL = 0, 100
TRIALS_LIMIT = 4096
GROUPS_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Requirement:
    """A dependency that a Buildpack asks for, with words of its own for whoever provides it."""

    name: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """One of the build plans that a Buildpack would be content with."""

    provides: tuple[str, ...] = ()
    requires: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a `bin/detect` said: exit status, output, alternatives for the plan (at least one)."""

    status: int
    output: str = ""
    plans: tuple[Plan, ...] = (Plan(),)

    @property
    def reason(self) -> str:
        """The last line it printed."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1][:200] if lines else ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A dependency of the resolved plan: who may provide it, and what was asked."""

    providers: tuple[str, ...]
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The ids of the Group that builds, in order, and its plan."""

    group: tuple[str, ...]
    entries: tuple[Entry, ...]


def parse_plans(data: bytes, file: str) -> tuple[Plan, ...]:
    """The alternatives in a build plan. Raises BuildFailed."""
    tables = toml.parse(data, file)
    return (_plan(tables, file), *(_plan(other, file) for other in toml.tables(tables, "or", file)))


def expand(order: Sequence[Group], buildpacks: Mapping[str, Buildpack]) -> tuple[Group, ...]:
    """The order with every Buildpack that is made of others replaced by these. Raises BuildFailed."""
    groups = tuple(
        group
        for outer in order
        for group in itertools.islice(_expanded(outer, buildpacks, 0), GROUPS_LIMIT + 1)
    )
    if len(groups) > GROUPS_LIMIT:
        raise BuildFailed(f"more than {GROUPS_LIMIT} groups of buildpacks to try")
    return groups


def choices(groups: Sequence[Group], verdicts: Mapping[str, Verdict]) -> list[Choice]:
    """Every Group that could build, best first, none twice. Raises BuildFailed."""
    found: list[Choice] = []
    for group in groups:
        choice = _resolve(group, verdicts)
        if choice and all(choice.group != other.group for other in found):
            found.append(choice)
    return found


def nothing_found(groups: Sequence[Group], verdicts: Mapping[str, Verdict], *, chosen: bool) -> BuildFailed:
    """Why no Group can build. `chosen`: the pusher named the buildpacks in project.toml."""
    ids = list(dict.fromkeys(member.id for group in groups for member in group))
    broken = [name for name in ids if verdicts[name].status not in (PASS, FAIL)]
    if broken:
        verdict = verdicts[broken[0]]
        said = f": {verdict.reason}" if verdict.reason else ""
        return BuildFailed(f"detection by buildpack {broken[0]} failed with status {verdict.status}{said}")
    if chosen:
        refused = [name for name in ids if verdicts[name].status == FAIL]
        if not refused:
            return BuildFailed(
                "the buildpacks in project.toml do not fit together: one needs what none before it provides"
            )
        said = f": {verdicts[refused[0]].reason}" if verdicts[refused[0]].reason else ""
        return BuildFailed(
            f"buildpack {refused[0]}, named in project.toml, does not recognise this app{said}"
        )
    return BuildFailed(
        f"no buildpack recognises this app (looked for {', '.join(ids)})",
        hint="add a Procfile with a line `web: COMMAND`, or name buildpacks in project.toml",
    )


def _resolve(group: Group, verdicts: Mapping[str, Verdict]) -> Choice | None:
    if any(verdicts[member.id].status != PASS and not member.optional for member in group):
        return None
    members = [member for member in group if verdicts[member.id].status == PASS]
    alternatives = [verdicts[member.id].plans for member in members]
    for number, plans in enumerate(itertools.product(*alternatives)):
        if number == TRIALS_LIMIT:
            raise BuildFailed(
                f"the build plans of {members[0].id} have more than {TRIALS_LIMIT} alternatives"
            )
        choice = _trial(list(zip(members, plans, strict=True)))
        if choice:
            return choice
    return None


def _trial(pairs: list[tuple[Member, Plan]]) -> Choice | None:
    """Optional members whose part of the plan does not work out are left out, and it is tried again."""
    while pairs:
        misfits = _misfits(pairs)
        if not misfits:
            return Choice(tuple(member.id for member, _ in pairs), _entries(pairs))
        if any(not member.optional for member, _ in pairs if member.id in misfits):
            return None
        pairs = [(member, plan) for member, plan in pairs if member.id not in misfits]
    return None


def _misfits(pairs: Sequence[tuple[Member, Plan]]) -> set[str]:
    """Who requires what nobody before provides; if there is none, who provides what nobody after requires."""
    early: set[str] = set()
    waiting: dict[str, list[str]] = {}
    provided: set[str] = set()
    for member, plan in pairs:
        for name in plan.provides:
            provided.add(name)
            waiting.setdefault(name, []).append(member.id)
        for requirement in plan.requires:
            if requirement.name in provided:
                waiting.pop(requirement.name, None)
            else:
                early.add(member.id)
    return early or {name for names in waiting.values() for name in names}


def _entries(pairs: Sequence[tuple[Member, Plan]]) -> tuple[Entry, ...]:
    providers: dict[str, list[str]] = {}
    requirements: dict[str, list[Requirement]] = {}
    for member, plan in pairs:
        for name in plan.provides:
            providers.setdefault(name, []).append(member.id)
        for requirement in plan.requires:
            requirements.setdefault(requirement.name, []).append(requirement)
    return tuple(Entry(tuple(providers[name]), tuple(asked)) for name, asked in requirements.items())


def _expanded(group: Group, buildpacks: Mapping[str, Buildpack], depth: int) -> list[Group]:
    if depth > 8:
        raise BuildFailed(f"buildpack {group[0].id} is made of itself")
    parts: list[list[Group]] = []
    for member in group:
        buildpack = _known(member, buildpacks)
        inner = [whole for each in buildpack.order for whole in _expanded(each, buildpacks, depth + 1)]
        parts.append(inner + [()] * member.optional if inner else [(member,)])
    combinations = itertools.islice(itertools.product(*parts), GROUPS_LIMIT + 1)
    return [tuple(itertools.chain.from_iterable(combination)) for combination in combinations]


def _known(member: Member, buildpacks: Mapping[str, Buildpack]) -> Buildpack:
    buildpack = buildpacks.get(member.id)
    if buildpack is None:
        raise BuildFailed(f"there is no buildpack {member.id}", hint=f"there are: {', '.join(buildpacks)}")
    if member.version not in ("", buildpack.version):
        raise BuildFailed(f"buildpack {member.id} {member.version} is not here, only {buildpack.version}")
    return buildpack


def _plan(tables: Mapping[str, Any], file: str) -> Plan:
    provides = tuple(_name(table, file) for table in toml.tables(tables, "provides", file))
    requires = tuple(
        Requirement(_name(table, file), table.get("metadata", {}))
        for table in toml.tables(tables, "requires", file)
    )
    return Plan(provides, requires)


def _name(table: Mapping[str, Any], file: str) -> str:
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise BuildFailed(f"{file}: an entry of a build plan needs a name")
    return name
