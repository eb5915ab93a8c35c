"""A push over SSH, as the person who pushes sees it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.e2e.server import Project, Server, serving, wait_for
from tests.e2e.test_push import app


def over_ssh(project: Project) -> Project:
    """The same work tree, with its remote over SSH and a key that the administrator has added."""
    key = project.server.data / "home" / "id"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        project.server.cli("keys", "add", f"{key}.pub", "--name", "test")
    options = f"-i {key} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    project.git("config", "core.sshCommand", f"ssh -F none -o LogLevel=ERROR {options}")
    url = project.server.api("GET", f"/apps/{project.name}").json()["ssh_url"]
    project.git("remote", "set-url", "hostd", url)
    return project


@pytest.fixture
def shop(server: Server, project: Project) -> Project:
    server.cli("login", server.url, "--token", server.token)
    return over_ssh(project)


def test_a_push_goes_live_and_so_does_the_next(shop: Project) -> None:
    assert "is running v1" in shop.deploy(app("one")).output
    assert shop.get().text == "one"
    assert "is running v2" in shop.deploy(app("two")).output
    assert shop.get().text == "two"
    assert shop.tip() == shop.git("rev-parse", "HEAD")


def test_output_of_the_build_appears_while_it_happens(shop: Project) -> None:
    shop.write(app("x", **{"hostd.toml": '[build]\ncommand = "echo first; sleep 2; echo second"\n'})).commit()
    with pushing(shop) as process:
        assert process.stderr
        seen = {
            line.split()[-1]: time.monotonic() for line in process.stderr if line.startswith("remote:   ")
        }
        assert process.wait() == 0
    assert seen["second"] - seen["first"] > 1.5


def test_a_failed_build_is_rejected_with_its_reason(shop: Project) -> None:
    shop.deploy(app("one"))
    pushed = shop.deploy({"hostd.toml": '[build]\ncommand = "exit 3"\n'}, status=1)
    assert "! [remote rejected] main -> main (build failed:" in pushed.output
    assert shop.get().text == "one"


def test_hanging_up_before_the_commit_point_cancels_the_push(shop: Project) -> None:
    shop.write(app("one", **{"hostd.toml": '[build]\ncommand = "sleep 20"\n'})).commit()
    with pushing(shop) as process:
        wait_for_line(process, "Building")
        os.killpg(process.pid, signal.SIGINT)  # Ctrl-C
        process.wait()
    shop.write({"hostd.toml": ""}).commit()
    assert "is running v1" in shop.push().output
    assert shop.get().text == "one"


def test_hanging_up_after_the_commit_point_does_not(shop: Project) -> None:
    shop.write(app("one", Procfile="web: exec python3 server.py\nrelease: sleep 3\n")).commit()
    with pushing(shop) as process:
        wait_for_line(process, "Launching")
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
    wait_for(lambda: shop.get().text == "one", 30)
    wait_for(lambda: shop.tip() == shop.git("rev-parse", "HEAD"), 10)


def test_two_pushes_at_once_over_both_ways_take_turns(shop: Project) -> None:
    shop.write(app("one", **{"hostd.toml": '[build]\ncommand = "sleep 3"\n'})).commit()
    with pushing(shop) as first:
        wait_for_line(first, "Building")
        url = shop.server.url.replace("://", f"://u:{shop.server.token}@")
        second = shop.push(f"{url}/{shop.name}.git", "main", status=None)
        assert first.wait() == 0
    assert "Another deploy of this app is under way" in second.output


@pytest.fixture
def short_lived() -> Iterator[Server]:
    with serving() as server:
        server.cli("login", server.url, "--token", server.token)
        yield server


@pytest.mark.slow
def test_a_shutdown_waits_for_a_push_that_is_past_its_commit_point(short_lived: Server) -> None:
    shop = over_ssh(short_lived.create("shop"))
    shop.write(app("one", Procfile="web: exec python3 server.py\nrelease: sleep 3\n")).commit()
    with pushing(shop) as process:
        wait_for_line(process, "Launching")
        assert short_lived.terminate() == 0
        assert process.stderr
        rest = process.stderr.read()
        assert process.wait() == 0, rest
    assert "is running v1" in rest
    assert shop.get().text == "one"


@pytest.mark.slow
def test_a_shutdown_tells_those_who_are_not_that_far(short_lived: Server) -> None:
    shop = over_ssh(short_lived.create("shop"))
    shop.write(app("one", **{"hostd.toml": '[build]\ncommand = "sleep 60"\n'})).commit()
    with pushing(shop) as process:
        wait_for_line(process, "Building")
        assert short_lived.terminate() == 0
        assert process.stderr
        assert "hostd is being stopped" in process.stderr.read()
        assert process.wait() != 0


def test_a_server_without_ssh_says_so(server: Server) -> None:
    with serving(HOSTD_SSH_LISTEN="off") as quiet:
        quiet.cli("login", quiet.url, "--token", quiet.token)
        quiet.create("shop")
        assert quiet.api("GET", "/apps/shop").json()["ssh_url"] is None
        assert "switched off" in quiet.cli("git", "remote", "-a", "shop", "--ssh", status=4)


def pushing(project: Project) -> "subprocess.Popen[str]":
    """A push under way, in a session of its own."""
    return subprocess.Popen(
        ("git", "push", "hostd", "main"),
        cwd=project.directory,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(project.directory), "GIT_CONFIG_NOSYSTEM": "1"},
    )


def wait_for_line(process: "subprocess.Popen[str]", word: str) -> None:
    """Once a line of the push's output holds `word`."""
    assert process.stderr
    for line in process.stderr:
        if word in line:
            return
    raise AssertionError(f"the push ended without saying {word}")
