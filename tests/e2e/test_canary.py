"""A new release gets a part of the requests, and the push waits for how it does."""

import subprocess
from collections.abc import Mapping

from tests.e2e.load import load
from tests.e2e.server import Project, wait_for
from tests.e2e.test_push import app

TABLE = "[canary]\nweight = 50\nseconds = {seconds}\n"


def with_canary(answer: str, seconds: int, status: int = 200) -> Mapping[str, str]:
    """An app that has a canary, and may answer 500 except to hostd itself."""
    files = app(answer, **{"hostd.toml": TABLE.format(seconds=seconds)})
    code = f"500 if 'X-Request-Id' in self.headers and {status} == 500 else 200"
    return files | {"server.py": files["server.py"].replace("send_response(200)", f"send_response({code})")}


def started(project: Project, files: Mapping[str, str]) -> subprocess.Popen[str]:
    """A push whose canary is under way."""
    project.write(dict(files)).commit()
    pushing = subprocess.Popen(
        ("git", "push", "hostd", "main"),
        cwd=project.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    there = project.server.api
    wait_for(lambda: there("GET", f"/apps/{project.name}/canary").status_code == 200, 60, "no canary")
    return pushing


def ended(pushing: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit status and output."""
    output, _ = pushing.communicate(timeout=90)
    return pushing.returncode, output


def releases(project: Project) -> list[tuple[str, str]]:
    """Name and state, newest first."""
    found = project.server.api("GET", f"/apps/{project.name}/releases").json()
    return [(each["name"], each["state"]) for each in found]


def test_a_canary_that_fails_rejects_the_push_by_itself_and_the_old_release_has_all_again(
    project: Project,
) -> None:
    project.deploy(app("old"))
    tip = project.tip()
    with load(project, at_once=4, pause=0.02) as answers:
        status, output = ended(started(project, with_canary("new", 120, status=500)))
    assert status == 1, output
    assert "v2 gets 50 % of the requests for 120 s" in output
    assert "! [remote rejected] main -> main (canary failed: " in output
    assert "requests got 5xx, at most 1 % allowed (old: 0 %)" in output
    assert set(answers) <= {"200 old", "500 new"}
    assert project.tip() == tip
    assert releases(project) == [("v2", "failed"), ("v1", "live")]
    with load(project, at_once=4) as after:
        wait_for(lambda: sum(after.values()) > 50, 30)
    assert set(after) == {"200 old"}


def test_a_canary_that_holds_goes_live_and_nothing_fails_on_the_way(project: Project) -> None:
    project.deploy(app("old"))
    with load(project, at_once=4, pause=0.02) as answers:
        status, output = ended(started(project, with_canary("new", 4)))
        wait_for(lambda: project.get().text == "new", 5)
    assert status == 0, output
    assert "is running v2" in output
    assert set(answers) == {"200 old", "200 new"}
    assert releases(project) == [("v2", "live"), ("v1", "retired")]


def test_somebody_at_another_terminal_may_end_it_either_way(project: Project) -> None:
    project.deploy(app("old"))
    project.server.cli("login", project.server.url, "--token", project.server.token)
    for end, status, live in (("abort", 1, "old"), ("promote", 0, "new")):
        pushing = started(project, with_canary("new", 600))
        assert "v1" in project.server.cli("canary", "--app", project.name)
        assert project.server.cli("canary", end, "--app", project.name)
        assert ended(pushing)[0] == status
        assert project.get().text == live
    assert project.server.cli("canary", "--app", project.name, status=3)


def test_when_hostd_is_asked_to_end_it_does_so_at_once_and_the_pusher_reads_why(project: Project) -> None:
    project.deploy(app("old"))
    pushing = started(project, with_canary("new", 600))
    project.server.terminate()
    try:
        status, output = ended(pushing)
        with load(project, at_once=4) as after:
            wait_for(lambda: sum(after.values()) > 50, 30)
    finally:
        project.server.start()
    assert status == 1
    assert "! [remote rejected] main -> main (canary failed: hostd was stopped)" in output
    assert set(after) == {"200 old"}


def test_after_kill_9_in_the_middle_the_old_release_has_all_requests(project: Project) -> None:
    project.deploy(app("old"))
    pushing = started(project, with_canary("new", 600))
    project.server.kill()
    try:
        assert ended(pushing)[0] != 0
        with load(project, at_once=4) as meanwhile:
            wait_for(lambda: sum(meanwhile.values()) > 50, 30)
        assert set(meanwhile) == {"200 old", "200 new"}, "the router goes on as it was told"
    finally:
        project.server.start()
    with load(project, at_once=4) as after:
        wait_for(lambda: sum(after.values()) > 50, 30)
    assert set(after) == {"200 old"}
    assert releases(project) == [("v2", "failed"), ("v1", "live")]
    running = project.server.api("GET", f"/apps/{project.name}/processes").json()
    assert [each["release"] for each in running] == ["v1"]
    project.write(app("next")).commit()
    project.push("-o", "canary=0", "hostd", "main")
    assert project.get().text == "next"
