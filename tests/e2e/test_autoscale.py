"""Instances become more under load and fewer without it, and nobody is dropped on the way."""

import re

from tests.e2e.load import load
from tests.e2e.server import Project, wait_for
from tests.e2e.test_push import app


def slow_app() -> dict[str, str]:
    """One that takes 0.5 s for an answer and prints nothing."""
    files, head = app("slow"), "def do_GET(self):\n"
    quiet = "def log_message(self, *_): pass\n    "
    files["server.py"] = files["server.py"].replace(
        head, f"{quiet}{head}        __import__('time').sleep(0.5)\n"
    )
    return files


def running(project: Project) -> int:
    """Web Instances that run."""
    found = project.server.api("GET", f"/apps/{project.name}/processes").json()
    return sum(1 for each in found if (each["process"], each["state"]) == ("web", "running"))


def test_load_makes_instances_more_and_a_lower_bound_fewer_and_no_request_fails(project: Project) -> None:
    project.deploy(slow_app())
    words = ("ps", "autoscale", "web", "--app", project.name)
    login = ("login", project.server.url, "--token", project.server.token)
    project.server.cli(*login)
    assert "1 to 3 instances" in project.server.cli(*words, "--max", "3", "--concurrency", "3")
    with load(project, at_once=30) as answers:
        wait_for(lambda: running(project) == 3, 30, "there were not more")
        assert "1 to 1 instances" in project.server.cli(*words, "--max", "1")
        wait_for(lambda: running(project) == 1, 30, "there were not fewer")
        seen = project.server.api("GET", f"/apps/{project.name}/traffic?seconds=30").json()
    assert set(answers) == {"200 slow"}
    assert seen["requests"] > 20 and seen["errors"] == 0 and seen["p50_ms"] > 450
    logs = project.server.cli("logs", "--app", project.name, "-p", "web")
    up = r"hostd\[web\]: autoscaled web [12] -> 3: [0-9]+ requests at once, 3 wanted per instance"
    assert re.search(up, logs), logs
    assert "hostd[web]: autoscaled web 3 -> 1: 1 to 1 wanted" in logs
