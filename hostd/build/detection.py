"""Detection: every candidate's `bin/detect` in one sandbox, then the choice."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hostd.build import buildpacks, source_files
from hostd.build.buildpacks import Candidate, Shelf
from hostd.build.detect import (
    FAIL,
    Choice,
    Entry,
    Verdict,
    choices,
    expand,
    nothing_found,
    parse_plans,
)
from hostd.build.remembered import look
from hostd.build.workshop import Workshop, architecture, base_env
from hostd.errors import BuildFailed
from hostd.model.buildpack import Group, Member
from hostd.model.names import shown
from hostd.model.task import Bind
from hostd.transcript import Transcript

OUTPUT_LIMIT = 1024 * 1024  # bytes
RESULTS = "/cnb/results"
CLONE = "/cnb/clone"
_NO_STATUS = 255
_DRIVER = Path(__file__).with_name("detect.sh").read_text()


@dataclass(frozen=True, slots=True)
class Detection:
    """The Group that builds, in order, and the plan it has agreed on. Empty: the app needs no Buildpack."""

    group: tuple[Candidate, ...] = ()
    entries: tuple[Entry, ...] = ()


async def detect(workshop: Workshop, shelf: Shelf, transcript: Transcript) -> Detection:
    """The first Group that recognises the app. Raises BuildFailed saying what was looked for."""
    candidates = dict(shelf.candidates)
    order = shelf.order
    chosen = bool(workshop.recipe.project.buildpacks)
    if chosen:
        order = (await _named(workshop, candidates, transcript),)
    groups = expand(order, {name: candidate.buildpack for name, candidate in candidates.items()})
    asked = {member.id: candidates[member.id] for group in groups for member in group}
    verdicts = await _verdicts(workshop, shelf, asked)
    found = choices(groups, verdicts)
    if not found:
        if chosen or not workshop.recipe.enough:
            raise nothing_found(groups, verdicts, chosen=chosen)
        transcript.detail("no buildpack recognises this app; it is run as it is")
        return Detection()
    _explain(found, candidates, verdicts, transcript)
    return Detection(tuple(candidates[name] for name in found[0].group), found[0].entries)


async def _verdicts(
    workshop: Workshop, shelf: Shelf, asked: Mapping[str, Candidate]
) -> Mapping[str, Verdict]:
    """Asked of the programs, unless they said it before of an app that looks the same to them."""
    own = [
        candidate.buildpack for name, candidate in asked.items() if shelf.candidates.get(name) == candidate
    ]
    sight = look(workshop.scratch.app, own, workshop.env) if len(own) == len(asked) else None
    known = shelf.memory.of(sight) if sight else None
    if known is None:
        known = await _ask(workshop, asked)
        if sight:
            shelf.memory.keep(sight, known)
    return known


async def _ask(workshop: Workshop, candidates: Mapping[str, Candidate]) -> dict[str, Verdict]:
    able = [name for name, each in candidates.items() if each.buildpack.runs_on("linux", architecture())]
    arguments: list[str] = []
    for name in able:
        arguments += [candidates[name].directory, "clear" if candidates[name].buildpack.clear_env else "keep"]
    binds = [bind for candidate in candidates.values() for bind in candidate.binds]
    lines: list[str] = []
    status = await workshop.run(
        ("sh", "-c", _DRIVER, "detect", RESULTS, *arguments),
        {**base_env(), **workshop.env},
        [*workshop.scratch.detect_binds, *binds],
        lines.append,
        network=False,
    )
    if status != 0:
        raise BuildFailed(f"detection failed with status {status}: {' '.join(lines)[-500:]}")
    results = workshop.scratch.results
    statuses = (source_files.read(results, "statuses") or b"").decode(errors="replace").split("\n")
    verdicts = {name: Verdict(FAIL, "not made for this kind of machine") for name in candidates}
    return verdicts | {name: _verdict(results, number, statuses) for number, name in enumerate(able)}


def _verdict(results: Path, number: int, statuses: Sequence[str]) -> Verdict:
    output = source_files.read(results, f"{number}.output", OUTPUT_LIMIT) or b""
    plan = source_files.read(results, f"{number}.plan.toml") or b""
    status = statuses[number] if number < len(statuses) else ""
    code = int(status) if re.fullmatch(r"[0-9]{1,3}", status) else _NO_STATUS
    return Verdict(code, output.decode(errors="replace"), parse_plans(plan, "the build plan of a buildpack"))


def _explain(
    found: list[Choice],
    candidates: Mapping[str, Candidate],
    verdicts: Mapping[str, Verdict],
    transcript: Transcript,
) -> None:
    for name in found[0].group:
        transcript.detail(_because(candidates[name].buildpack.label, verdicts[name]))
    others = [" + ".join(_because(name, verdicts[name]) for name in choice.group) for choice in found[1:]]
    if others:
        transcript.detail(f"also possible: {'; '.join(others)}")
        transcript.detail(
            f"{found[0].group[0]} comes first in the order; to choose, name buildpacks in project.toml"
        )


def _because(label: str, verdict: Verdict) -> str:
    return f"{label}: {verdict.reason}" if verdict.reason else label


async def _named(workshop: Workshop, candidates: dict[str, Candidate], transcript: Transcript) -> Group:
    """The Group that project.toml names. Those it brings along are added to `candidates`."""
    members: list[Member] = []
    for number, entry in enumerate(workshop.recipe.project.buildpacks):
        name, uri = entry["id"], entry["uri"]
        if not uri:
            members.append(Member(name, entry["version"]))
            continue
        if buildpacks.is_repository(uri):
            candidate = await _clone(workshop, number, uri, entry["version"], transcript)
        else:
            candidate = buildpacks.in_app(workshop.scratch.app, uri)
        candidates[candidate.buildpack.id] = candidate
        members.append(Member(candidate.buildpack.id))
    return tuple(members)


async def _clone(
    workshop: Workshop, number: int, uri: str, version: str, transcript: Transcript
) -> Candidate:
    """A Buildpack from a git repository, fetched inside the sandbox. `version` is a branch or tag."""
    if version and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}", version):
        raise BuildFailed(f"project.toml: {shown(version)} is not the name of a branch or tag")
    target = workshop.scratch.results / f"clone-{number}"
    workshop.scratch.own_directory(target)
    branch = ("--branch", version) if version else ()
    command = ("git", "clone", "--quiet", "--depth", "1", *branch, "--", uri, CLONE)
    env = {**base_env(), "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https"}
    transcript.detail(f"fetching buildpack {uri}")
    binds = (*workshop.scratch.detect_binds, Bind(target, CLONE, writable=True))
    status = await workshop.run(command, env, binds, transcript.detail)
    if status != 0:
        raise BuildFailed(f"buildpack {shown(uri)[1:-1]} could not be fetched (git ended with {status})")
    return buildpacks.own(buildpacks.read_buildpack(target, ""), target)
