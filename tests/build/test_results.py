"""The files a bin/build leaves behind."""

import pytest

from hostd.build.results import (
    Launch,
    Layer,
    check_layer_name,
    merged,
    parse_launch,
    parse_layer,
    parse_store,
    parse_unmet,
)
from hostd.errors import BuildFailed
from hostd.model.image import ProcessType


def test_a_layer_has_the_types_it_declares() -> None:
    content = b'[types]\nlaunch = true\ncache = true\n[metadata]\nkey = "abc"\nmade = 2026-11-25\n'
    assert parse_layer(content, "python", "venv") == Layer(
        "python", "venv", True, False, True, {"key": "abc", "made": "2026-11-25"}
    )


def test_a_layer_without_types_is_ignored() -> None:
    assert parse_layer(b'[metadata]\nkey = "abc"', "python", "venv").ignored
    assert parse_layer(b"launch = true", "python", "venv").ignored
    assert parse_layer(b'[types]\nlaunch = "yes"', "python", "venv").ignored


def test_a_layer_for_another_execution_environment_is_not_launched() -> None:
    content = b'[types]\nlaunch = true\n[metadata]\nexec-env = ["test"]'
    assert parse_layer(content, "python", "venv").ignored


@pytest.mark.parametrize(
    "name", ["", "..", ".x", "a/b", "a:b", "a,b", "launch", "build", "store", "a\n", "x" * 101]
)
def test_a_layer_whose_name_could_not_be_a_directory_is_refused(name: str) -> None:
    with pytest.raises(BuildFailed, match="made a layer"):
        check_layer_name(name, "python")


def test_launch_says_processes_the_default_and_labels() -> None:
    content = b"""
    [[processes]]
    type = "web"
    command = ["python", "-m"]
    args = ["http.server"]
    default = true
    working-dir = "site"
    [[processes]]
    type = "tests"
    command = ["pytest"]
    exec-env = ["test"]
    [[labels]]
    key = "hostd.static.root"
    value = "dist"
    [[slices]]
    paths = ["*"]
    """
    assert parse_launch(content, "python") == Launch(
        (ProcessType("web", ("python", "-m", "http.server"), "/app/site"),),
        "web",
        {"hostd.static.root": "dist"},
    )


def test_commands_of_older_buildpacks_are_lines_for_a_shell_unless_direct() -> None:
    content = b"""
    [[processes]]
    type = "web"
    command = "exec run --port $PORT"
    args = ["x"]
    [[processes]]
    type = "worker"
    command = "work"
    args = ["x"]
    direct = true
    """
    assert [process.command for process in parse_launch(content, "old").processes] == [
        ("sh", "-c", 'exec run --port $PORT "$@"', "web", "x"),
        ("work", "x"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b'[[processes]]\ntype = "we b"\ncommand = ["x"]',
        b'[[processes]]\ntype = "web"\ncommand = []',
        b'[[processes]]\ntype = "web"\ncommand = [3]',
        b'[[processes]]\ntype = "web"',
        b"processes = 3",
        b'[[labels]]\nkey = 3\nvalue = "x"',
    ],
)
def test_a_launch_file_of_another_shape_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(BuildFailed, match=r"python/launch\.toml: "):
        parse_launch(content, "python")


def test_of_two_buildpacks_with_the_same_process_the_later_wins() -> None:
    one = Launch((ProcessType("web", ("a",)), ProcessType("rake", ("r",))), "web", {"x": "1", "y": "1"})
    other = Launch((ProcessType("web", ("b",)),), "", {"x": "2"})
    assert merged([one, other]) == Launch(
        (ProcessType("web", ("b",)), ProcessType("rake", ("r",))), "", {"x": "2", "y": "1"}
    )
    assert merged([one, Launch()]).default == "web"


def test_stores_and_unmet_entries_are_read() -> None:
    assert parse_store(b"[metadata]\nruns = 3", "python") == {"runs": 3}
    assert parse_unmet(b'[[unmet]]\nname = "node"', "python") == {"node"}
