"""bin/detect of every buildpack, run as it is: which files it knows, and in which order buildpacks are asked."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.buildpacks import yard

ORDER = [
    member["id"]
    for group in tomllib.loads((yard.BUILDPACKS / "order.toml").read_text())["order"]
    for member in group["group"]
]


def chosen(app: Path) -> tuple[str, str]:
    """The first buildpack that recognises `app`, and why it says it does."""
    for name in ORDER:
        done = subprocess.run(
            [yard.BUILDPACKS / name / "bin" / "detect"], cwd=app, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return name, done.stdout.strip()
        assert done.returncode == 100, done.stderr
    return "", ""


def test_every_buildpack_has_its_place_in_the_order() -> None:
    assert sorted(ORDER) == sorted(path.parent.name for path in yard.BUILDPACKS.glob("*/buildpack.toml"))


@pytest.mark.parametrize("name", sorted(yard.samples()))
def test_a_sample_is_recognised_by_its_own_buildpack(name: str) -> None:
    sample = yard.samples()[name]
    assert chosen(sample)[0] == yard.expectation(sample)["buildpack"]


@pytest.mark.parametrize(
    ("files", "buildpack", "reason"),
    [
        (["requirements.txt", "app.py"], "python", "requirements.txt found"),
        (["uv.lock", "pyproject.toml"], "python", "uv.lock found"),
        (["main.py"], "python", "main.py found"),
        (["package.json", "requirements.txt"], "node", "package.json found"),
        (["package.json", "index.html"], "node", "package.json found"),
        (["Gemfile", "index.html"], "ruby", "Gemfile found"),
        (["index.php", "index.html"], "php", "index.php found"),
        (["go.mod", "main.go"], "go", "go.mod found"),
        (["public/index.html"], "static", "public/index.html found"),
        (["Staticfile"], "static", "Staticfile found"),
        (["start.sh"], "shell", "start.sh found"),
        (["README.md"], "", ""),
        ([], "", ""),
    ],
)
def test_files_decide_the_buildpack(tmp_path: Path, files: list[str], buildpack: str, reason: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert chosen(tmp_path) == (buildpack, reason)


def test_a_directory_with_the_name_of_a_manifest_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "package.json").mkdir()
    assert chosen(tmp_path) == ("", "")


@pytest.mark.parametrize(
    ("package", "buildpack"),
    [('{"scripts": {"build": "vite build"}}', "python"), ('{"scripts": {"start": "node x.js"}}', "node")],
)
def test_a_django_project_with_assets_is_python(tmp_path: Path, package: str, buildpack: str) -> None:
    (tmp_path / "manage.py").touch()
    (tmp_path / "package.json").write_text(package)
    assert chosen(tmp_path)[0] == buildpack
