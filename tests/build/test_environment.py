"""How layers change environments (Buildpack API 0.12, "Environment Variable Modification Rules")."""

import pytest

from hostd.build.environment import LayerEnvironment, for_build, for_launch
from hostd.errors import BuildFailed

BASE = {"PATH": "/usr/bin"}


def layer(path: str, *directories: str, **files: dict[str, str]) -> LayerEnvironment:
    return LayerEnvironment(
        path, frozenset(directories), {kind.replace("_", "."): content for kind, content in files.items()}
    )


def test_search_paths_hold_later_buildpacks_first_and_layers_by_name() -> None:
    contributions = [
        [layer("/layers/a/x", "bin", "lib"), layer("/layers/a/y", "bin")],
        [layer("/layers/b/z", "bin")],
    ]
    assert for_launch(BASE, contributions) == {
        "PATH": "/layers/b/z/bin:/layers/a/x/bin:/layers/a/y/bin:/usr/bin",
        "LD_LIBRARY_PATH": "/layers/a/x/lib",
    }


def test_a_build_has_search_paths_that_a_launch_has_not() -> None:
    contributions = [[layer("/l", "lib", "include", "pkgconfig")]]
    assert for_build({}, contributions, {}) == {
        "LD_LIBRARY_PATH": "/l/lib",
        "LIBRARY_PATH": "/l/lib",
        "CPATH": "/l/include",
        "PKG_CONFIG_PATH": "/l/pkgconfig",
    }
    assert for_launch({}, contributions) == {"LD_LIBRARY_PATH": "/l/lib"}


@pytest.mark.parametrize(
    ("files", "before", "after"),
    [
        ({"X": "new"}, "old", "new"),
        ({"X.override": "new"}, "old", "new"),
        ({"X.default": "new"}, "old", "old"),
        ({"X.default": "new"}, "", "new"),
        ({"X.append": "new"}, "old", "oldnew"),
        ({"X.append": "new", "X.delim": ":"}, "old", "old:new"),
        ({"X.prepend": "new", "X.delim": ":"}, "old", "new:old"),
        ({"X.prepend": "new", "X.delim": ":"}, "", "new"),
        ({"X.delim": ":"}, "old", "old"),
        ({"X.unknown": "new"}, "old", "old"),
        ({"X": "a\nb \n"}, "", "a\nb \n"),
    ],
)
def test_the_suffix_says_how_a_variable_changes(files: dict[str, str], before: str, after: str) -> None:
    assert for_launch({"X": before}, [[layer("/l", env=files)]])["X"] == after


def test_later_layers_append_behind_and_prepend_before() -> None:
    files = [{"X.append": name, "X.prepend": name} for name in "ab"]
    contributions = [[layer("/a", env=files[0])], [layer("/b", env=files[1])]]
    assert for_launch({"X": "-"}, contributions)["X"] == "ba-ab"


def test_each_kind_of_change_is_seen_only_where_it_belongs() -> None:
    one = layer("/l", env={"A": "1"}, env_build={"B": "2"}, env_launch={"C": "3"})
    own = LayerEnvironment("/l", files={**one.files, "env.launch/web": {"D": "4"}})
    assert for_build({}, [[own]], {}) == {"A": "1", "B": "2"}
    assert for_launch({}, [[own]]) == {"A": "1", "C": "3"}
    assert for_launch({}, [[own]], "web") == {"A": "1", "C": "3", "D": "4"}
    assert for_launch({}, [[own]], "worker") == {"A": "1", "C": "3"}
    assert own.processes == {"web"}


def test_what_the_user_set_wins_but_search_paths_are_only_put_before() -> None:
    contributions = [[layer("/l", "bin", env={"A": "layer"})]]
    env = for_build(BASE, contributions, {"A": "user", "PATH": "/mine", "CPATH": "/inc"})
    assert env == {"A": "user", "PATH": "/mine:/l/bin:/usr/bin", "CPATH": "/inc"}


@pytest.mark.parametrize("name", ["1A", "A-B", "", " "])
def test_a_file_that_cannot_name_a_variable_is_refused(name: str) -> None:
    with pytest.raises(BuildFailed, match="is not a file for a variable"):
        for_launch({}, [[layer("/l", env={name: "x"})]])


def test_a_value_with_nul_is_refused() -> None:
    with pytest.raises(BuildFailed):
        for_launch({}, [[layer("/l", env={"A": "x\0"})]])
