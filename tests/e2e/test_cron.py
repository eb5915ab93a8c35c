"""Cron on a real machine: read at the push, run in a sandbox, told afterwards, once each over kill -9."""

from typing import Any

import pytest

from tests.e2e.server import Project, wait_for

WEB = {"start.sh": "exec python3 -m http.server -b 0.0.0.0 $PORT\n"}


def job(*lines: str) -> str:
    """A table [[cron]]."""
    return "\n".join(("[[cron]]", *lines, ""))


REPORT = job(
    'name = "report"', 'schedule = "@yearly"', 'command = "echo $HOSTD_PROCESS $HOSTD_RELEASE; exit 3"'
)
LONG = job('name = "long"', 'schedule = "@yearly"', 'command = "echo begun; sleep 4; echo done"')
MINUTE = job('name = "minute"', 'schedule = "* * * * *"', 'command = "echo tick"')


def history(project: Project, name: str) -> list[dict[str, Any]]:
    """Its Runs, newest first."""
    found: list[dict[str, Any]] = project.server.api("GET", f"/apps/{project.name}/runs?job={name}").json()
    return found


def test_a_job_is_shown_at_the_push_runs_by_hand_and_is_told_of(project: Project) -> None:
    server = project.server
    pushed = project.deploy(WEB | {"hostd.toml": REPORT})
    assert "cron report: @yearly: echo $HOSTD_PROCESS" in pushed.output
    server.cli("login", server.url, "--token", server.token)
    listed = server.cli("cron", "-a", project.name)
    assert "report" in listed and "@yearly UTC" in listed
    server.cli("cron", "-a", project.name, "run", "report")
    wait_for(lambda: history(project, "report")[0]["state"] == "ended", 20, "it did not end")
    run = history(project, "report")[0]
    assert (run["status"], run["author"], run["trigger"]) == (3, "admin", "manual")
    assert server.cli("cron", "-a", project.name, "output", str(run["id"])) == "cron.report v1\n"
    assert " 3 " in server.cli("cron", "-a", project.name, "history", "report")
    logged = server.cli("logs", "-a", project.name, "-p", "cron.report")
    assert f"hostd[cron.report.{run['id']}]: exited with status 3" in logged
    server.cli("cron", "-a", project.name, "pause", "report")
    assert "paused" in server.cli("cron", "-a", project.name)
    server.cli("cron", "-a", project.name, "resume", "nothing", status=3)


def test_a_bad_schedule_fails_the_push_with_its_line(project: Project) -> None:
    text = WEB | {"hostd.toml": job('command = "x"', 'schedule = "60 * * * *"')}
    assert "hostd.toml:3: field minute: 0-59" in project.deploy(text, status=1).output


def test_a_job_outlives_kill_9_of_hostd_and_a_deploy(project: Project) -> None:
    server = project.server
    project.deploy(WEB | {"hostd.toml": LONG})
    server.api("POST", f"/apps/{project.name}/cron/long/run")
    wait_for(lambda: history(project, "long")[0]["state"] == "running", 20, "it did not start")
    project.deploy({"a.txt": "another\n"})
    server.kill()
    server.start()
    wait_for(lambda: history(project, "long")[0]["state"] == "ended", 20, "it did not end")
    (run,) = history(project, "long")
    assert (run["status"], run["release"]) == (0, "v1")
    told = server.api("GET", f"/apps/{project.name}/runs/{run['id']}").json()
    assert told["output"] == "begun\ndone\n"


@pytest.mark.slow
def test_what_is_due_runs_by_itself(project: Project) -> None:
    project.deploy(WEB | {"hostd.toml": MINUTE})
    wait_for(lambda: any(run["state"] == "ended" for run in history(project, "minute")), 90, "nothing ran")
    run = history(project, "minute")[-1]
    assert (run["trigger"], run["status"], run["author"]) == ("schedule", 0, "")
    assert run["due_at"].endswith(":00Z") or run["due_at"].endswith(":00+00:00")
