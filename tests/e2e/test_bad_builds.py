"""Builds that go wrong: each limit and each cause has its own words, and the next push is as if nothing had been."""

from pathlib import Path

import pytest

from tests.e2e.server import Project, wait_for
from tests.e2e.test_bad_apps import ANSWER
from tests.e2e.test_bad_files import start_over

RUN = {"Procfile": "web: exec python3 program 200\n", "program": ANSWER}


def built_by(script: str) -> dict[str, str]:
    """An app that is built by a script."""
    return {**RUN, "build": script, "hostd.toml": '[build]\ncommand = "bash build"\n'}


def scratch(project: Project) -> list[Path]:
    """What builds have under way or left."""
    return list((project.server.data / "data/apps").glob("*/build/*"))


BUILDS = {
    "fails": ("echo no luck >&2; exit 9", "the build command of hostd.toml failed with status 9"),
    "is killed": ("kill -9 $$", "the build command of hostd.toml failed with status 137"),
    "eats memory": (
        "exec python3 -c 'list(map(bytearray, [10**8] * 1000))'",
        "the build used more than 2048 MB of memory",
    ),
    "forks": ("f() { f | f & }; f; sleep 5; exit 1", "the build ran more than 512 processes at once"),
    "prints": ("yes 0123456789 0123456789 0123456789", "the build printed more than 20 MB"),
    "prints one line": ("tr '\\0' x < /dev/zero", "the build printed more than 20 MB"),
    "writes": (
        "for n in 1 2 3; do fallocate -l 1600M big$n; done; sleep 60",
        "the build wrote more than 4096 MB to disk",
    ),
    "writes one large file": ("fallocate -l 5000M big", "failed with status"),
    "nests": (
        'python3 -c \'import os\nfor _ in range(2000): os.mkdir("d"); os.chdir("d")\'; sleep 60',
        "the build made directories nested deeper than",
    ),
    "leaves a pipe": ("mkfifo pipe", "pipe"),
    "leaves a socket": (
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'",
        "socket",
    ),
    "reads what is not its": ("cat /etc/shadow /root/.bashrc /proc/1/environ; env; exit 1", "No such file"),
}


@pytest.mark.parametrize(("script", "words"), BUILDS.values(), ids=BUILDS)
def test_a_build_that_goes_wrong_is_told_why_and_leaves_nothing(
    untouched: Project, script: str, words: str
) -> None:
    start_over(untouched)
    untouched.write(built_by(script)).commit()
    pushed = untouched.push("--force", "hostd", "HEAD:main", status=1)
    assert words in pushed.output[-3000:]
    assert "! [remote rejected] HEAD -> main (" in pushed.output
    assert "root:" not in pushed.output
    assert "hst_" not in pushed.output
    wait_for(lambda: scratch(untouched) == [], 20, lambda: f"left: {scratch(untouched)}")


def test_a_push_after_a_refused_one_deploys_also_with_another_history(project: Project) -> None:
    project.deploy(built_by("exit 1"), status=1)
    start_over(project)
    project.commit()
    assert "is running v1" in project.push("hostd", "HEAD:main").output


def test_what_a_build_started_in_the_background_does_not_outlive_it(project: Project) -> None:
    marker = f"987{project.name.rsplit('-', 1)[1]}"
    project.deploy(built_by(f"(trap '' HUP TERM; exec sleep {marker}) & disown -a; true"))
    arguments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert f"sleep\0{marker}\0".encode() not in arguments


def test_two_buildpacks_that_match_are_told_and_which_was_taken(project: Project) -> None:
    pushed = project.deploy(
        {"package.json": "{}", "requirements.txt": "", "Procfile": "worker: sleep 1000\n"}
    )
    assert "also possible: " in pushed.output
    assert "comes first in the order; to choose, name buildpacks in project.toml" in pushed.output


INDEX = """
[_]
schema-version = "0.2"
[[io.buildpacks.build.env]]
name = "UV_DEFAULT_INDEX"
value = "http://127.0.0.1:9/simple"
[[io.buildpacks.build.env]]
name = "UV_HTTP_TIMEOUT"
value = "2"
[[io.buildpacks.build.env]]
name = "UV_HTTP_RETRIES"
value = "0"
[[io.buildpacks.build.env]]
name = "NPM_CONFIG_REGISTRY"
value = "http://127.0.0.1:9"
[[io.buildpacks.build.env]]
name = "NPM_CONFIG_FETCH_RETRIES"
value = "0"
"""
LOCK = """{"name": "x", "lockfileVersion": 3, "packages": {"": {"dependencies": {"is-odd": "3.0.1"}},
 "node_modules/is-odd": {"version": "3.0.1", "resolved": "http://127.0.0.1:9/is-odd/-/is-odd-3.0.1.tgz",
 "integrity": "sha512-CQpnWPrDwmP1+SMHXZhtLtJv90yiyVfluGsX5iNCVkrhQtU3TQHsUWPG9wkdk9Lgd5yNpAg9jQEo90CBaXgWMA=="}}}"""
UNREACHABLE = {
    "python": {**RUN, "requirements.txt": "hostd-tests-no-such-package==1\n"},
    "node": {
        **RUN,
        "package.json": '{"name": "x", "dependencies": {"is-odd": "3.0.1"}}',
        "package-lock.json": LOCK,
    },
}


@pytest.mark.parametrize("app", UNREACHABLE.values(), ids=UNREACHABLE)
def test_a_registry_that_cannot_be_reached_is_told(project: Project, app: dict[str, str]) -> None:
    pushed = project.deploy({**app, "project.toml": INDEX}, status=1)
    assert "127.0.0.1:9" in pushed.output
    assert "build failed" in pushed.output


@pytest.mark.network
def test_a_package_that_does_not_exist_is_named(project: Project) -> None:
    pushed = project.deploy({**RUN, "requirements.txt": "hostd-tests-no-such-package==1\n"}, status=1)
    assert "hostd-tests-no-such-package" in pushed.output
    assert "build failed" in pushed.output
