"""A push, as the person who pushes sees it."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from tests.e2e.server import Project, wait_for

ECHO = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write({answer!r}.encode())
http.server.ThreadingHTTPServer.address_family
http.server.HTTPServer.server_bind = lambda self: __import__("socketserver").TCPServer.server_bind(self)
http.server.HTTPServer.server_name, http.server.HTTPServer.server_port = "x", 0
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


def app(answer: str, **more: str) -> dict[str, str]:
    """An app without dependencies that answers `answer`."""
    return {"server.py": ECHO.format(answer=answer), "Procfile": "web: exec python3 server.py\n", **more}


def test_a_push_goes_live_and_the_next_one_replaces_it(project: Project) -> None:
    pushed = project.deploy(app("one"))
    assert f"{project.name}.localhost" in pushed.output
    assert "is running v1" in pushed.output
    assert project.get().text == "one"
    assert "is running v2" in project.deploy(app("two")).output
    assert project.get().text == "two"
    assert project.tip() == project.git("rev-parse", "HEAD")


def test_output_of_the_build_appears_line_by_line_while_it_happens(project: Project) -> None:
    project.write(
        app("x", **{"hostd.toml": '[build]\ncommand = "echo first; sleep 2; echo second"\n'})
    ).commit()
    started = time.monotonic()
    process = subprocess.Popen(
        ("git", "push", "hostd", "main"), cwd=project.directory, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    seen = {}
    for line in process.stderr:
        for word in ("first", "second"):
            if line.startswith("remote:") and line.rstrip().endswith(word):
                seen[word] = time.monotonic() - started
    assert process.wait() == 0
    process.stderr.close()
    assert seen["second"] - seen["first"] > 1.5


def test_a_build_that_fails_changes_nothing_and_keeps_nothing(project: Project) -> None:
    project.deploy(app("good"))
    good = project.tip()
    broken = {"hostd.toml": '[build]\ncommand = "echo no such luck; exit 3"\n'}
    pushed = project.deploy(app("bad", **broken), status=1)
    assert "no such luck" in pushed.output
    assert "! [remote rejected] main -> main (build failed:" in pushed.output
    assert project.get().text == "good"
    assert project.tip() == good
    (repository,) = (project.server.data / "data/repositories").glob(f"{app_id(project)}.git")
    commit = project.git("rev-parse", "HEAD")
    found = subprocess.run(
        ("git", "-C", repository, "cat-file", "-e", commit), check=False, capture_output=True
    )
    assert found.returncode != 0
    assert "is running" in project.deploy(app("better", **{"hostd.toml": ""})).output


def test_an_app_that_dies_at_once_shows_its_last_lines_and_the_old_release_serves(project: Project) -> None:
    project.deploy(app("good"))
    files = {"server.py": "import sys; print('cannot go on'); sys.exit(4)"}
    pushed = project.deploy(files, status=1)
    assert "cannot go on" in pushed.output
    assert "web exited with status 4" in pushed.output
    assert "remote rejected" in pushed.output
    assert project.get().text == "good"


def test_an_app_on_the_wrong_port_is_told_where_it_listens(project: Project) -> None:
    manifest = {"hostd.toml": "[health]\ntimeout_seconds = 2\n"}
    pushed = project.deploy(
        {**app("x"), **manifest, "Procfile": "web: PORT=5001 python3 server.py\n"}, status=1
    )
    assert "5001" in pushed.output
    assert "$PORT" in pushed.output


def test_a_release_command_runs_before_the_switch_and_aborts_it(project: Project) -> None:
    project.deploy(app("one"))
    procfile = "web: exec python3 server.py\nrelease: echo migrating; exit 7\n"
    pushed = project.deploy({**app("two"), "Procfile": procfile}, status=1)
    assert "migrating" in pushed.output
    assert "the release command failed: it exited with status 7" in pushed.output
    assert project.get().text == "one"
    assert "is running" in project.deploy({"Procfile": procfile.replace("exit 7", "true")}).output
    assert project.get().text == "two"


def test_an_app_that_no_buildpack_knows_is_refused_with_a_hint(project: Project) -> None:
    pushed = project.deploy({"notes.xyz": "hello"}, status=1)
    assert "no buildpack recognises this app" in pushed.output


def test_a_stale_push_is_refused_before_it_is_built(project: Project) -> None:
    project.deploy(app("one"))
    tip = project.git("rev-parse", "HEAD")
    project.deploy(app("two"))
    project.git("reset", "-q", "--hard", tip)
    project.write(app("three")).commit()
    pushed = project.push(status=1)
    assert "rejected" in pushed.output
    assert "Detecting" not in pushed.output
    assert project.get().text == "two"
    assert "is running v3" in project.push("--force", "hostd", "main").output
    assert project.get().text == "three"


def test_two_pushes_at_once_take_turns_and_the_second_is_told(project: Project) -> None:
    slow = {"hostd.toml": '[build]\ncommand = "sleep 3"\n'}
    project.write(app("one", **slow)).commit()
    outputs: list[str] = []
    first = threading.Thread(target=lambda: outputs.append(project.push(status=None).output))
    first.start()
    time.sleep(1)
    project.write({"more": "x"})
    project.commit()
    second = project.push(status=None)
    first.join()
    assert "is running v1" in outputs[0]
    assert "Another deploy of this app is under way" in second.output


def test_tags_are_stored_and_the_production_branch_cannot_be_deleted(project: Project) -> None:
    project.deploy(app("one"))
    project.git("tag", "v1")
    assert "refs/tags/v1 stored; only branches deploy" in project.push("hostd", "v1").output
    assert "deletion of main refused" in project.push("hostd", "--delete", "main", status=1).output


def test_a_first_push_of_master_deploys(project: Project) -> None:
    project.write(app("from master")).commit()
    assert "is running v1" in project.push("hostd", "main:master").output
    assert project.get().text == "from master"


def test_push_options_arrive_and_unknown_ones_are_refused(project: Project) -> None:
    project.write(app("one")).commit()
    assert "unknown push option" in project.push("-o", "$(id)", "hostd", "main", status=1).output
    assert "is running" in project.push("-o", "clear-cache", "hostd", "main").output


def test_a_push_from_a_shallow_clone_deploys(project: Project, another: Callable[[], Project]) -> None:
    for number in range(3):
        project.write(app(str(number))).commit()
    project.push()
    clone = another()
    url = clone.git("remote", "get-url", "hostd")
    source = project.git("remote", "get-url", "hostd")
    clone.git("clone", "-q", "--depth", "1", source, "shallow")
    clone._run("git", "-C", "shallow", "push", url, "HEAD:main")
    assert clone.get().text == "2"


def test_a_clone_gives_back_what_was_pushed(project: Project) -> None:
    project.deploy(app("one"))
    project.git("clone", "-q", project.git("remote", "get-url", "hostd"), "copy")
    assert (project.directory / "copy/server.py").read_text() == (project.directory / "server.py").read_text()


def test_hanging_up_before_the_commit_point_cancels_the_push(project: Project) -> None:
    slow = {"hostd.toml": '[build]\ncommand = "sleep 20"\n'}
    project.write(app("one", **slow)).commit()
    process = subprocess.Popen(
        ("git", "push", "hostd", "main"),
        cwd=project.directory,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    wait_for(lambda: b"Detecting" in (process.stderr.readline() if process.stderr else b""), 20)
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C
    process.communicate()
    project.write({"hostd.toml": ""}).commit()
    assert "is running v1" in project.push().output
    assert project.get().text == "one"


@pytest.mark.parametrize(
    ("procfile", "words"),
    [
        ("", "Procfile"),
        ("web: \n", "Procfile:1"),
        ("web: a\nweb: b\n", "Procfile:2"),
        ("We b: x\n", "Procfile:1"),
    ],
)
def test_a_broken_procfile_is_refused_by_line(project: Project, procfile: str, words: str) -> None:
    assert words in project.deploy({**app("x"), "Procfile": procfile}, status=1).output


def test_an_app_without_a_web_process_runs_and_the_push_says_so(project: Project) -> None:
    pushed = project.deploy(
        {"work.sh": "while :; do echo working; sleep 1; done", "Procfile": "worker: sh work.sh\n"}
    )
    assert "no web process" in pushed.output
    assert project.get().status_code == 503
    assert project.get().headers["X-Hostd-Error"] == "H14"


def app_id(project: Project) -> int:
    """The id behind the App's repository."""
    import sqlite3

    with sqlite3.connect(project.server.data / "data/hostd.db") as db:
        return int(db.execute("select id from apps where name = ?", (project.name,)).fetchone()[0])
