"""The Image from what the Build made: whose process types win, what is static, what an empty result is."""

from pathlib import Path

import pytest

from hostd.build.environment import LayerEnvironment
from hostd.build.image import assemble, processes, static_of, toolchain_trees
from hostd.build.recipe import Recipe
from hostd.build.results import Launch
from hostd.command import PATH
from hostd.errors import BuildFailed
from hostd.model.buildpack import Project
from hostd.model.health import HealthCheck
from hostd.model.image import Image, ProcessType, StaticSite, Tree
from hostd.model.manifest import Manifest
from hostd.model.terms import Terms

TREE = Tree("git:1", "/app", ("/source",))


def process(name: str, command: str) -> ProcessType:
    return ProcessType(name, (command,))


def recipe(*procfile: ProcessType, manifest: Manifest | None = None) -> Recipe:
    return Recipe(manifest or Manifest(), procfile, Project())


def image(told: Recipe, launch: Launch, *layers: LayerEnvironment) -> Image:
    return assemble(told, launch, [layers], (TREE,), (), ("python 1.0.0",))


def test_hostd_toml_wins_over_the_procfile_and_that_over_buildpacks() -> None:
    launch = Launch((process("web", "b"), process("rake", "b"), process("worker", "b")))
    told = recipe(
        process("web", "p"), process("worker", "p"), manifest=Manifest(processes=(process("web", "h"),))
    )
    assert processes(told, launch) == (process("web", "h"), process("rake", "b"), process("worker", "p"))


def test_a_procfile_with_a_release_only_leaves_web_to_the_buildpack() -> None:
    found = processes(recipe(process("release", "migrate")), Launch((process("web", "b"),)))
    assert [each.name for each in found] == ["web", "release"]


def test_the_default_process_is_web_where_there_is_none() -> None:
    launch = Launch((process("task", "t"),), "task")
    assert processes(recipe(), launch) == (process("web", "t"), process("task", "t"))


def test_a_static_site_needs_no_web_process() -> None:
    labels = {"hostd.static.root": "dist/", "hostd.static.single-page": "true"}
    assert static_of(recipe(), Launch(labels=labels)) == StaticSite("dist", single_page=True)
    assert static_of(recipe(process("web", "p")), Launch(labels=labels)) is None
    assert static_of(recipe(), Launch((process("web", "b"),), labels=labels)) is None
    told = recipe(process("web", "p"), manifest=Manifest(static=StaticSite("site")))
    assert static_of(told, Launch(labels=labels)) == StaticSite("site")


def test_a_static_root_outside_the_app_is_refused() -> None:
    with pytest.raises(BuildFailed, match="is not a directory inside the app"):
        static_of(recipe(), Launch(labels={"hostd.static.root": "../../etc"}))


def test_an_image_with_nothing_to_run_is_refused() -> None:
    with pytest.raises(BuildFailed, match="nothing to run"):
        image(recipe(), Launch())


def test_the_launch_environment_comes_from_the_layers() -> None:
    layer = LayerEnvironment("/layers/python/venv", frozenset({"bin"}), {"env.launch": {"A": "1"}})
    assert image(recipe(process("web", "p")), Launch(), layer).env == {
        "PATH": f"/layers/python/venv/bin:{PATH}",
        "A": "1",
    }


def test_a_process_with_variables_of_its_own_gets_only_these_by_env() -> None:
    layer = LayerEnvironment("/l", files={"env": {"A": "1", "B": "1"}, "env.launch/web": {"B": "2"}})
    made = image(recipe(process("web", "p"), process("worker", "w")), Launch(), layer)
    assert made.processes == (ProcessType("web", ("env", "B=2", "p")), process("worker", "w"))
    assert made.env == {"PATH": PATH, "A": "1", "B": "1"}


def test_labels_of_the_buildpacks_and_of_hostd_toml_are_kept() -> None:
    told = recipe(process("web", "p"), manifest=Manifest(health=HealthCheck("/up")))
    assert image(told, Launch(labels={"x": "y"})).labels == {"x": "y", "hostd.health.path": "/up"}


def test_limits_for_a_process_type_that_there_is_none_of_are_refused() -> None:
    told = recipe(process("web", "p"), manifest=Manifest(terms={"": Terms(64), "wrker": Terms(64)}))
    with pytest.raises(BuildFailed, match=r"hostd.toml: there is no process type wrker"):
        image(told, Launch())


def test_the_digest_depends_on_what_decides_how_it_runs() -> None:
    one = image(recipe(process("web", "p")), Launch())
    assert one.digest == image(recipe(process("web", "p")), Launch()).digest
    assert one.digest != image(recipe(process("web", "q")), Launch()).digest
    assert Image.from_json(one.to_json()) == one


def test_toolchains_are_trees_by_label() -> None:
    tools = {"node-24": Path("/t/node-24"), "uv-1": Path("/t/uv-1")}
    assert toolchain_trees(Launch(labels={"hostd.toolchains": "node-24"}), tools) == (
        Tree("toolchain:node-24", "/opt/hostd/node-24", ("/t/node-24",)),
    )
    assert toolchain_trees(Launch(), tools) == ()
    with pytest.raises(BuildFailed) as refusal:
        toolchain_trees(Launch(labels={"hostd.toolchains": "../etc"}), tools)
    assert refusal.value.message == "there is no toolchain '../etc'"
