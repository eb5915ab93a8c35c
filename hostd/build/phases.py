"""The build phase: each Buildpack of the Group in order, then the command of hostd.toml."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostd.build import environment, layers, results, source_files
from hostd.build.buildpacks import Candidate
from hostd.build.detect import Entry
from hostd.build.detection import Detection
from hostd.build.environment import LayerEnvironment
from hostd.build.layers import STORE, Restored
from hostd.build.results import Launch, Layer
from hostd.build.workshop import Workshop, base_env
from hostd.errors import BuildFailed
from hostd.model import toml
from hostd.model.image import Image
from hostd.transcript import Transcript

LAYERS_LIMIT = 100  # for one Buildpack
_KINDS = ("env", "env.build", "env.launch")
_ERROR = "Error: "  # how a buildpack's last words begin, if it knows what is wrong
_PLAN = "/platform/plan.toml"  # rules leave the rest of the platform directory to us


@dataclass(frozen=True, slots=True)
class Output:
    """What one Buildpack made."""

    layers: tuple[Layer, ...]
    launch: Launch
    store: Mapping[str, Any] | None
    environments: Mapping[str, LayerEnvironment]

    def designated(self, kind: str) -> list[LayerEnvironment]:
        """The environments of its layers of type `kind`, "build" or "launch", by name."""
        return [self.environments[layer.name] for layer in self.layers if getattr(layer, kind)]


@dataclass(frozen=True, slots=True)
class Built:
    """What the Group made. `stores` are the store.toml of each, by directory name."""

    labels: tuple[str, ...]
    layers: tuple[Layer, ...]
    launch: Launch
    contributions: Sequence[Sequence[LayerEnvironment]]
    stores: Mapping[str, Mapping[str, Any]]
    restored: Restored


@dataclass(slots=True)
class _Progress:
    """What is so far, while the Group is under way."""

    entries: list[Entry]
    outputs: dict[str, Output] = field(default_factory=dict)

    def contributions(self, kind: str) -> list[list[LayerEnvironment]]:
        return [output.designated(kind) for output in self.outputs.values()]


async def build_group(
    workshop: Workshop, detection: Detection, previous: Image | None, transcript: Transcript
) -> Built:
    """Run them all. Raises BuildFailed naming the Buildpack or the command, and LimitExceeded."""
    names = [candidate.buildpack.directory for candidate in detection.group]
    restored = layers.choose(previous, names)
    layers.restore(restored, names, workshop.scratch)
    progress = _Progress(list(detection.entries))
    for candidate in detection.group:
        with transcript.phase(f"Building with {candidate.buildpack.label}"):
            await _run_buildpack(workshop, candidate, progress, transcript)
            progress.outputs[candidate.buildpack.directory] = _output(workshop, candidate, restored)
            _settle_plan(workshop, candidate, progress)
    await _run_command(workshop, progress, transcript)
    outputs = progress.outputs
    return Built(
        labels=tuple(candidate.buildpack.label for candidate in detection.group),
        layers=tuple(layer for output in outputs.values() for layer in output.layers if not layer.ignored),
        launch=results.merged([output.launch for output in outputs.values()]),
        contributions=progress.contributions("launch"),
        stores={name: output.store for name, output in outputs.items() if output.store is not None},
        restored=restored,
    )


async def _run_buildpack(
    workshop: Workshop, candidate: Candidate, progress: _Progress, transcript: Transcript
) -> None:
    buildpack = candidate.buildpack
    mine = [entry for entry in progress.entries if buildpack.id in entry.providers]
    asked = [requirement for entry in mine for requirement in entry.requirements]
    plan = {"entries": [{"name": each.name, "metadata": each.metadata} for each in asked]}
    workshop.scratch.put_plan(_plan_text(plan["entries"]))
    directory = f"/layers/{buildpack.directory}"
    env = {
        **base_env(),
        "CNB_BUILDPACK_DIR": candidate.directory,
        "CNB_LAYERS_DIR": directory,
        "CNB_BP_PLAN_PATH": _PLAN,
    }
    user = {} if buildpack.clear_env else workshop.env
    reason = ""

    def hear(line: str) -> None:
        nonlocal reason
        if line.startswith(_ERROR):
            reason = line.removeprefix(_ERROR)
        transcript.detail(line)

    status = await workshop.run(
        (f"{candidate.directory}/bin/build", directory, "/platform", _PLAN),
        environment.for_build(env, progress.contributions("build"), user),
        (*workshop.scratch.build_binds, *candidate.binds),
        hear,
    )
    if status != 0:
        raise BuildFailed(f"{buildpack.id}: {reason or f'it failed with status {status}'}")


async def _run_command(workshop: Workshop, progress: _Progress, transcript: Transcript) -> None:
    command = workshop.recipe.manifest.build_command
    if not command:
        return
    with transcript.phase("Running the build command of hostd.toml"):
        env = environment.for_build(base_env(), progress.contributions("build"), workshop.env)
        status = await workshop.run(
            ("bash", "-c", command), env, workshop.scratch.build_binds, transcript.detail
        )
        if status != 0:
            raise BuildFailed(f"the build command of hostd.toml failed with status {status}")


def _output(workshop: Workshop, candidate: Candidate, restored: Restored) -> Output:
    """Read what it left in its part of /layers. No longer visible: layers without a type."""
    name, label = candidate.buildpack.directory, candidate.buildpack.id
    root = workshop.scratch.layers
    declared = [
        results.check_layer_name(file.removesuffix(".toml"), label)
        for file in source_files.names(root, name)
        if file.endswith(".toml") and file.removesuffix(".toml") not in results.RESERVED
    ]
    if len(declared) > LAYERS_LIMIT:
        raise BuildFailed(f"buildpack {label} made more than {LAYERS_LIMIT} layers")
    found = tuple(
        results.parse_layer(source_files.read(root, f"{name}/{layer}.toml") or b"", name, layer)
        for layer in declared
    )
    for layer in found:
        if layer.ignored:
            with contextlib.suppress(OSError):  # nothing there, or restored content that cannot be renamed
                (root / layer.path).rename(root / f"{layer.path}.ignore")
    launch = source_files.read(root, f"{name}/launch.toml")
    store = source_files.read(root, f"{name}/{STORE}.toml")
    return Output(
        layers=found,
        launch=results.parse_launch(launch, label) if launch else Launch(),
        store=results.parse_store(store, label) if store else None,
        environments={
            layer.name: _environment(root, layer, restored) for layer in found if not layer.ignored
        },
    )


def _settle_plan(workshop: Workshop, candidate: Candidate, progress: _Progress) -> None:
    """What it met is no longer in the plan of those after it ("Unmet Buildpack Plan Entries")."""
    name = candidate.buildpack.directory
    content = source_files.read(workshop.scratch.layers, f"{name}/build.toml")
    unmet = results.parse_unmet(content, candidate.buildpack.id) if content else frozenset()
    progress.entries = [
        entry
        for entry in progress.entries
        if candidate.buildpack.id not in entry.providers
        or any(requirement.name in unmet for requirement in entry.requirements)
    ]


def _environment(root: Path, layer: Layer, restored: Restored) -> LayerEnvironment:
    if not source_files.is_directory(root, layer.path):  # reused from the Image before, see layers.keep
        earlier = restored.earlier.get((layer.buildpack, layer.name))
        if earlier is None or not earlier.directory:
            return LayerEnvironment(f"/layers/{layer.path}")
        root = Path(earlier.directory)
    inside = source_files.names(root, layer.path)
    if layer.launch and "exec.d" in inside and source_files.names(root, f"{layer.path}/exec.d"):
        raise BuildFailed(f"layer {layer.path} has programs in exec.d, which hostd does not run")
    kinds = [kind for kind in _KINDS if kind in inside]
    if "env.launch" in inside:
        kinds += [
            f"env.launch/{process}"
            for process in source_files.names(root, f"{layer.path}/env.launch")
            if source_files.is_directory(root, f"{layer.path}/env.launch/{process}")
        ]
    return LayerEnvironment(
        f"/layers/{layer.path}",
        frozenset(inside) & {"bin", "lib", "include", "pkgconfig"},
        {kind: _files(root, f"{layer.path}/{kind}") for kind in kinds},
    )


def _files(root: Path, path: str) -> dict[str, str]:
    contents = {
        name: source_files.read(root, f"{path}/{name}")
        for name in source_files.names(root, path)
        if not source_files.is_directory(root, f"{path}/{name}")
    }
    return {
        name: content.decode(errors="surrogateescape")
        for name, content in contents.items()
        if content is not None
    }


def _plan_text(entries: Sequence[Mapping[str, Any]]) -> str:
    """[[entries]] as tables of their own, as shell scripts expect them."""
    lines: list[str] = []
    for entry in entries:
        lines += ["[[entries]]", toml.write({"name": entry["name"]})]
        if entry["metadata"]:
            lines += [toml.write({"entries": {"metadata": entry["metadata"]}}).replace("[entries]\n", "", 1)]
    return "\n".join(lines)
