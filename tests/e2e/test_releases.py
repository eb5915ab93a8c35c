"""Releases through everything: rolled back, paused and resumed, with real git, sandboxes and nginx."""

import concurrent.futures
import json
import re

import httpx
import pytest

from tests.e2e.server import Project, Server, serving, wait_for

PROCFILE = {"Procfile": "web: python3 server.py\n"}
SERVER = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"WORD " + os.environ["HOSTD_RELEASE"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture(autouse=True, scope="module")
def logged_in(server: Server) -> None:
    """The CLI's home is the server's."""
    server.cli("login", server.url, "--token", server.token)


def app(word: str) -> dict[str, str]:
    return {"server.py": SERVER.replace("WORD", word), **PROCFILE}


def test_after_a_rollback_pushes_are_refused_until_somebody_resumes(project: Project) -> None:
    server, name = project.server, project.name
    project.deploy(app("one"))
    project.deploy(app("two"))
    assert "v3 is live: rollback to v1" in server.cli("rollback", "-a", name)
    assert project.get().text.startswith("one")
    tip = project.tip()
    refused = project.deploy(app("three"), status=1)
    assert f"deploys of {name} are paused since admin's rollback to v1" in refused.output
    assert "git push -o resume" in refused.output
    assert "Detecting" not in refused.output
    assert (project.tip(), project.get().text[:3]) == (tip, "one")
    project.push("-o", "resume", "hostd", "main")
    assert project.get().text == "three v4"
    project.deploy(app("four"))
    assert "pushes to" in server.cli("deploys", "-a", name)


def ask(server: Server, name: str, number: int) -> httpx.Response:
    """Ask a Release at the address it keeps."""
    return server.get(f"v{number}--{name}")


def test_every_release_keeps_an_address_that_wakes_it(project: Project) -> None:
    server, name = project.server, project.name
    project.deploy(app("one"))
    project.deploy(app("two"))
    project.deploy(app("three"))
    assert ask(server, name, 3).text == project.get().text == "three v3"
    assert "noindex" in ask(server, name, 3).headers["X-Robots-Tag"]
    assert "X-Robots-Tag" not in project.get().headers
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(server, name, 1), range(40)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "one v1")}
    assert "noindex" in answers[0].headers["X-Robots-Tag"]
    assert ask(server, name, 2).text == "two v2"
    assert ask(server, name, 4).status_code == 404
    server.api("DELETE", f"/apps/{name}?confirm={name}")
    assert ask(server, name, 1).status_code == 404


def test_so_do_static_ones(project: Project) -> None:
    server, name = project.server, project.name
    for word in ("one", "two", "three"):
        project.deploy({"public/index.html": word})
    assert [ask(server, name, number).text for number in (1, 2, 3)] == ["one", "two", "three"]
    assert "noindex" in ask(server, name, 1).headers["X-Robots-Tag"]


def test_a_rollback_has_only_to_thaw_what_served_before(project: Project) -> None:
    server, name = project.server, project.name
    project.deploy(app("one"))
    project.deploy(app("two"))
    instance = running(server, name)
    project.deploy(app("three"))
    assert running(server, name) != instance
    server.cli("rollback", "-a", name)
    assert running(server, name) == instance
    assert project.get().text == ask(server, name, 2).text == ask(server, name, 4).text == "two v2"
    assert ask(server, name, 3).text == "three v3"
    info = server.cli("releases", "info", "v4", "-a", name)
    assert "changes since v3:" in info
    assert f"  - {project.git('rev-parse', 'HEAD')[:7]} a commit" in info
    assert f"http://v4--{name}.localhost:{server.http_port}" in info


def test_addresses_and_what_a_rollback_thawed_outlive_hostd() -> None:
    with serving() as server:
        server.cli("login", server.url, "--token", server.token)
        project = server.create("shop")
        project.deploy(app("one"))
        project.deploy(app("two"))
        server.cli("rollback", "-a", "shop")
        assert ask(server, "shop", 2).text == "two v2"
        instance = running(server, "shop")
        server.kill()
        assert project.get().text == ask(server, "shop", 1).text == "one v1"
        server.start()
        assert running(server, "shop") == instance
        wait_for(lambda: ask(server, "shop", 2).text == "two v2", 10)
        assert [ask(server, "shop", number).text for number in (1, 3)] == ["one v1", "one v1"]


def running(server: Server, name: str) -> str:
    """The id of the App's one web Instance, without its end."""
    processes = json.loads(server.cli("ps", "-a", name, "--json"))
    assert len(processes) == 1
    return re.sub("-1$", "", processes[0]["instance_id"])
