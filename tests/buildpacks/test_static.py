"""What the static buildpack tells the router to serve."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.buildpacks import yard


def built(app: Path, layers: Path) -> subprocess.CompletedProcess[str]:
    layers.mkdir()
    env = {"PATH": "/usr/bin:/bin", "CNB_LAYERS_DIR": str(layers)}
    program = yard.BUILDPACKS / "static" / "bin" / "build"
    return subprocess.run([program], cwd=app, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("files", "root", "single_page"),
    [
        ({"index.html": ""}, ".", "false"),
        ({"public/index.html": ""}, "public", "false"),
        ({"site/a.html": "", "Staticfile": "root: site/\n"}, "site", "false"),
        ({"index.html": "", "Staticfile": "pushstate: enabled"}, ".", "true"),
    ],
)
def test_the_root_is_found(tmp_path: Path, files: dict[str, str], root: str, single_page: str) -> None:
    app = tmp_path / "app"
    for name, text in files.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    assert built(app, tmp_path / "layers").returncode == 0
    labels = tomllib.loads((tmp_path / "layers" / "launch.toml").read_text())["labels"]
    assert {label["key"]: label["value"] for label in labels} == {
        "hostd.static.root": root,
        "hostd.static.single-page": single_page,
    }


@pytest.mark.parametrize("root", ["../other", "/etc", "gone", 'x"\\ny', "a/../../b", "$(id)"])
def test_a_root_that_is_no_directory_of_the_app_is_refused(tmp_path: Path, root: str) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (tmp_path / "other").mkdir()
    (app / "Staticfile").write_text(f"root: {root}\n")
    done = built(app, tmp_path / "layers")
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        1,
        "Error: the root of the Staticfile is no directory of the app",
    )
