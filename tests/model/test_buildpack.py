"""buildpack.toml, order.toml and project.toml."""

import pytest

from hostd.errors import BuildFailed
from hostd.model.buildpack import (
    Buildpack,
    Member,
    Project,
    parse_buildpack,
    parse_order,
    parse_project,
)

PYTHON = b"""
api = "0.12"
[buildpack]
id = "acme/python"
version = "1.2.3"
clear-env = true
[[targets]]
os = "linux"
arch = "amd64"
"""


def test_a_buildpack_is_read() -> None:
    buildpack = parse_buildpack(PYTHON, "buildpack.toml")
    assert buildpack == Buildpack(
        "acme/python", "1.2.3", (0, 12), clear_env=True, targets=(("linux", "amd64"),)
    )
    assert buildpack.label == "acme/python 1.2.3"
    assert buildpack.directory == "acme_python"


def test_a_buildpack_without_targets_runs_on_any_linux() -> None:
    assert Buildpack("a", "1").runs_on("linux", "arm64")
    assert not Buildpack("a", "1").runs_on("windows", "amd64")
    assert not parse_buildpack(PYTHON, "buildpack.toml").runs_on("linux", "arm64")


@pytest.mark.parametrize("identity", ["", "../x", "a/../b", "a_b", "a b", "a:b", "x" * 101, "-x"])
def test_an_id_that_could_not_be_a_directory_is_refused(identity: str) -> None:
    with pytest.raises(BuildFailed, match="is not an id for a buildpack"):
        parse_buildpack(f'api = "0.10"\n[buildpack]\nid = "{identity}"'.encode(), "buildpack.toml")


def test_a_reserved_id_is_refused() -> None:
    with pytest.raises(BuildFailed, match="the id app is reserved"):
        parse_buildpack(b'api = "0.10"\n[buildpack]\nid = "app"', "buildpack.toml")


@pytest.mark.parametrize("api", ["0.6", "0.13", "1", "", "x", "0.12.1"])
def test_another_buildpack_api_is_refused_by_name(api: str) -> None:
    with pytest.raises(BuildFailed, match=r"is not supported, only 0\.7 to 0\.12"):
        parse_buildpack(f'api = "{api}"\n[buildpack]\nid = "a"'.encode(), "buildpack.toml")


def test_an_order_is_groups_of_members() -> None:
    content = b"""
    [[order]]
    group = [{ id = "node", version = "1.0.0", optional = true }, { id = "python" }]
    [[order]]
    [[order.group]]
    id = "static"
    """
    assert parse_order(content, "order.toml") == (
        (Member("node", "1.0.0", optional=True), Member("python")),
        (Member("static"),),
    )


def test_a_project_names_buildpacks_and_variables() -> None:
    content = b"""
    [_]
    schema-version = "0.2"
    [[io.buildpacks.group]]
    id = "python"
    [[io.buildpacks.group]]
    uri = "./mine"
    [[io.buildpacks.build.env]]
    name = "BP_X"
    value = "1"
    """
    assert parse_project(content) == Project(
        ({"id": "python", "version": "", "uri": ""}, {"id": "", "version": "", "uri": "./mine"}),
        (("BP_X", "1"),),
    )


def test_a_project_of_the_older_schema_is_read_too() -> None:
    content = b"""
    [project]
    id = "x"
    [[build.buildpacks]]
    id = "node"
    version = "1.0.0"
    [[build.env]]
    name = "A"
    value = "b"
    """
    assert parse_project(content) == Project(({"id": "node", "version": "1.0.0", "uri": ""},), (("A", "b"),))


def test_a_project_without_buildpacks_leaves_the_choice_to_detection() -> None:
    assert parse_project(b'[project]\nname = "x"') == Project()


@pytest.mark.parametrize("name", ["1A", "A-B", "A=B", "", "CNB_X"])
def test_a_variable_with_an_impossible_name_is_refused(name: str) -> None:
    with pytest.raises(BuildFailed, match="is not a name for a variable"):
        parse_project(f'[[io.buildpacks.build.env]]\nname = "{name}"\nvalue = "x"'.encode())


@pytest.mark.parametrize("content", [b"io = 3", b"[io]\nbuildpacks = []", b"[io.buildpacks]\ngroup = 'x'"])
def test_a_project_of_another_shape_is_refused(content: bytes) -> None:
    with pytest.raises(BuildFailed, match=r"project\.toml: "):
        parse_project(content)
