"""Releases through everything: rolled back, paused and resumed, with real git, sandboxes and nginx."""

import pytest

from tests.e2e.server import Project, Server

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
