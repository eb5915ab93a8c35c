"""The Image from what the Build made. Pure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hostd.build import environment
from hostd.build.environment import Contributions
from hostd.build.recipe import Recipe
from hostd.build.results import Launch
from hostd.command import PATH
from hostd.errors import BuildFailed
from hostd.model.image import Image, LayerRecord, ProcessType, StaticSite, Tree, image_digest
from hostd.model.manifest import FILE, static_site
from hostd.model.names import shown

TOOLCHAINS = "/opt/hostd"


def assemble(
    recipe: Recipe,
    launch: Launch,
    contributions: Contributions,
    trees: tuple[Tree, ...],
    layers: tuple[LayerRecord, ...],
    buildpacks: tuple[str, ...],
) -> Image:
    """The Image. Raises BuildFailed if there would be nothing to run and nothing to serve."""
    env = environment.for_launch({"PATH": PATH}, contributions)
    wanted = processes(recipe, launch)
    _check_terms(recipe, wanted)
    static = static_of(recipe, launch)
    if not wanted and not static:
        raise BuildFailed(
            "nothing to run: no process type was found", hint="add a Procfile with a line: web: COMMAND"
        )
    own = tuple(_with_own_env(process, env, contributions) for process in wanted)
    # Only hostd.toml, which is checked, speaks to the Rollout.
    others = {name: value for name, value in launch.labels.items() if not name.startswith("hostd.")}
    labels = {**others, **recipe.manifest.labels}
    digest = image_digest(trees, env, own, static)
    return Image(digest, trees, env, own, static, layers, buildpacks, labels)


def processes(recipe: Recipe, launch: Launch) -> tuple[ProcessType, ...]:
    """hostd.toml wins over the Procfile, and that over the buildpacks, each process type for itself.

    Without a `web` the buildpacks' default process is it, whatever its own name.
    """
    found = {process.name: process for process in launch.processes}
    default = found.get(launch.default)
    if default and "web" not in found:
        found["web"] = ProcessType("web", default.command, default.directory)
    found |= {process.name: process for process in recipe.processes}
    return tuple(sorted(found.values(), key=lambda process: (process.name != "web", process.name)))


def _check_terms(recipe: Recipe, wanted: tuple[ProcessType, ...]) -> None:
    """Raises BuildFailed if hostd.toml asks for something for a process type that there is none of."""
    known = [process.name for process in wanted]
    for name in recipe.manifest.terms:
        if name and name not in known:
            raise BuildFailed(
                f"{FILE}: there is no process type {name}: its limits would hold for nothing",
                hint=f"this app has {', '.join(known) or 'none'}",
            )


def static_of(recipe: Recipe, launch: Launch) -> StaticSite | None:
    """The site to serve without an Instance: hostd.toml's, or a Buildpack's if nobody named a web process."""
    if recipe.manifest.static:
        return recipe.manifest.static
    root = launch.labels.get("hostd.static.root")
    if root is None or any(process.name == "web" for process in (*recipe.processes, *launch.processes)):
        return None
    return static_site(root, launch.labels.get("hostd.static.single-page") == "true")


def toolchain_trees(launch: Launch, toolchains: Mapping[str, Path]) -> tuple[Tree, ...]:
    """The toolchains that the label `hostd.toolchains` names, apart by spaces, for run time. Raises BuildFailed."""
    names = sorted(set(launch.labels.get("hostd.toolchains", "").split()))
    for name in names:
        if name not in toolchains:
            raise BuildFailed(
                f"there is no toolchain {shown(name)}", hint=f"there are: {', '.join(sorted(toolchains))}"
            )
    return tuple(
        Tree(f"toolchain:{name}", f"{TOOLCHAINS}/{name}", (str(toolchains[name]),)) for name in names
    )


def _with_own_env(process: ProcessType, env: Mapping[str, str], contributions: Contributions) -> ProcessType:
    """A process type for which a layer has variables of its own gets them by `env NAME=VALUE command`."""
    own: Sequence[frozenset[str]] = [layer.processes for layers in contributions for layer in layers]
    if not any(process.name in names for names in own):
        return process
    whole = environment.for_launch({"PATH": PATH}, contributions, process.name)
    changed = [f"{name}={value}" for name, value in sorted(whole.items()) if env.get(name) != value]
    return ProcessType(process.name, ("env", *changed, *process.command), process.directory)
