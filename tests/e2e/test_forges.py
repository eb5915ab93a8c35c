"""A forge's webhook deploys: real deliveries by curl, fetched over HTTP, statuses told to a forge on this machine."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.server import Project, Server, serving, wait_for
from tests.e2e.test_previews import ENV, PROCFILE
from tests.e2e.test_push import app
from tests.forge import FakeForge, forge_in, pull_request, pushed, signed

TOKEN = "forge-t0ken"


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[FakeForge]:
    with forge_in(tmp_path / "forge", TOKEN) as made:
        yield made


@pytest.fixture(autouse=True)
def logged_in(server: Server) -> None:
    server.cli("login", server.url, "--token", server.token)


def connect(server: Server, name: str, forge: FakeForge) -> tuple[str, str]:
    """Follow the forge's repository; the webhook's URL and secret, as they are printed."""
    where = ("--repository", forge.repository, "--kind", "github", "--api", f"{forge.url}/api")
    said = server.cli("forges", "connect", "-a", name, *where, "--token", TOKEN)
    facts = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    return facts["URL"].strip(), facts["secret, shown only now"].strip()


def deliver(hook: tuple[str, str], event: str, payload: Any, key: str) -> tuple[int, dict[str, Any], float]:
    """POST by curl: the status, the answer, and how long it took in seconds."""
    headers, body = signed(hook[1], event, payload, key)
    options = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    started = time.monotonic()
    done = subprocess.run(
        ["curl", "-sS", "--data-binary", "@-", "-w", "\n%{http_code}", *options, hook[0]],
        input=body,
        capture_output=True,
        check=True,
    )
    answer, _, status = done.stdout.decode().rpartition("\n")
    return int(status), json.loads(answer), time.monotonic() - started


def log(server: Server, name: str) -> list[dict[str, Any]]:
    """The deliveries, oldest first."""
    found = json.loads(server.cli("forges", "deliveries", "-a", name, "--json"))
    return list(reversed(found))


def settled(server: Server, name: str) -> list[dict[str, Any]]:
    """The deliveries, once all are done."""
    wait_for(lambda: all(each["state"] not in ("queued", "building") for each in log(server, name)), 60)
    return log(server, name)


def test_a_push_at_the_forge_is_live_and_its_branch_a_preview(project: Project, forge: FakeForge) -> None:
    server, name = project.server, project.name
    hook = connect(server, name, forge)
    commit = forge.commit("refs/heads/main", app("from the forge"))
    status, answer, took = deliver(hook, "push", pushed("refs/heads/main", commit), "one")
    assert (status, answer["state"]) == (202, "queued")
    assert took < 1
    assert settled(server, name)[-1]["state"] == "deployed", log(server, name)
    assert project.get().text == "from the forge"
    assert forge.states(commit) == ["pending", "success"]
    assert forge.statuses[-1][1]["target_url"] == f"http://{name}.localhost:{server.http_port}"
    assert deliver(hook, "push", pushed("refs/heads/main", commit), "one")[0] == 200
    assert deliver((hook[0], "wrong"), "push", pushed("refs/heads/main", commit), "two")[0] == 401
    topic = forge.commit("refs/heads/topic", app("topic"))
    deliver(hook, "push", pushed("refs/heads/topic", topic), "three")
    assert settled(server, name)[-1]["url"] == f"http://topic--{name}.localhost:{server.http_port}"
    assert server.get(f"topic--{name}").text == "topic"
    forge.git("update-ref", "-d", "refs/heads/topic")
    deliver(hook, "push", pushed("refs/heads/topic", "0" * 40), "four")
    assert settled(server, name)[-1]["state"] == "removed"
    assert server.get(f"topic--{name}").status_code == 404
    assert [each["state"] for each in log(server, name)] == ["deployed", "deployed", "removed"]
    assert TOKEN not in server.log()
    assert hook[1] not in server.log()


def test_a_forks_pull_request_waits_and_sees_no_config(project: Project, forge: FakeForge) -> None:
    server, name = project.server, project.name
    hook = connect(server, name, forge)
    server.cli("config", "set", "-a", name, "--previews", "SHARED=previews")
    commit = forge.commit("refs/pull/12/head", {"server.py": ENV, **PROCFILE})
    status, answer, _ = deliver(hook, "pull_request", pull_request("opened", 12, commit), "one")
    assert (status, answer["state"]) == (202, "waiting")
    (waiting,) = json.loads(server.cli("forges", "pending", "-a", name, "--json"))
    assert server.get(f"pr-12--{name}").status_code == 404
    server.cli("forges", "approve", "-a", name, str(waiting["id"]))
    assert settled(server, name)[-1]["state"] == "deployed", log(server, name)
    seen = server.get(f"pr-12--{name}").json()
    assert "SHARED" not in seen
    assert seen["HOSTD_BRANCH"] == "pr-12"
    deliver(hook, "pull_request", pull_request("closed", 12, commit), "two")
    assert settled(server, name)[-1]["state"] == "removed"
    assert server.get(f"pr-12--{name}").status_code == 404


def test_a_branch_is_pulled_by_hand(project: Project, forge: FakeForge) -> None:
    server, name = project.server, project.name
    connect(server, name, forge)
    forge.commit("refs/heads/main", app("pulled"))
    said = server.cli("forges", "pull", "main", "-a", name)
    assert f"Fetching main from {forge.repository}" in said
    assert "is running v1" in said
    assert project.get().text == "pulled"
    assert "neither the forge nor hostd" in server.cli("forges", "pull", "absent", "-a", name, status=4)


def test_what_was_acknowledged_is_done_though_hostd_is_killed(forge: FakeForge) -> None:
    with serving(HOSTD_PRIVATE_FORGES="on") as server:
        server.cli("login", server.url, "--token", server.token)
        project = server.create("killed")
        hook = connect(server, "killed", forge)
        commit = forge.commit("refs/heads/main", app("after the kill"))
        assert deliver(hook, "push", pushed("refs/heads/main", commit), "one")[0] == 202
        server.kill()
        server.start()
        (done,) = settled(server, "killed")
        assert (done["state"], done["commit"]) == ("deployed", commit)
        assert project.get().text == "after the kill"
        assert deliver(hook, "push", pushed("refs/heads/main", commit), "one")[0] == 200
        assert len(server.api("GET", "/apps/killed/releases").json()) == 1
