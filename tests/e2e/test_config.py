"""Config as people meet it: scopes, secrets, groups, app.json, files, and a new key under everything."""

import json
import stat
from collections.abc import Callable

import pytest

from tests.e2e.server import Project, Server, serving

ENV = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(dict(os.environ)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
FILES = {
    "server.py": ENV,
    "Procfile": "web: exec python3 server.py\n",
    "hostd.toml": '[build]\ncommand = "echo build sees ${TOKEN:-no token} and ${SECRET:-no secret}"\n',
}


@pytest.fixture(autouse=True, scope="module")
def logged_in(server: Server) -> None:
    """The CLI's home is the server's."""
    server.cli("login", server.url, "--token", server.token)


def test_scopes_say_who_sees_what(project: Project) -> None:
    server, here = project.server, ("-a", project.name)
    server.cli("config", "set", *here, "--build-only", "TOKEN=t0ken", "--secret")
    server.cli("config", "set", *here, "--secret", "SECRET=s3cret")
    server.cli("config", "set", *here, "--with-previews", "SHARED=with previews")
    pushed = project.deploy(FILES)
    assert "build sees t0ken and no secret" in pushed.output
    seen = project.get().json()
    assert (seen["SECRET"], seen["SHARED"], "TOKEN" in seen) == ("s3cret", "with previews", False)
    listed = server.cli("config", "list", *here)
    assert listed.splitlines() == [
        "SECRET=(secret)",
        "SHARED=with previews  # run,preview",
        "TOKEN=(secret)  # build",
    ]
    project.write({"more.txt": ""}).commit()
    pushed = project.push("hostd", "HEAD:refs/heads/topic")
    assert "build sees no token and no secret" in pushed.output
    preview = server.get(f"topic--{project.name}").json()
    assert (preview["SHARED"], "SECRET" in preview) == ("with previews", False)
    assert server.cli("config", "diff", *here, "-e", "topic").splitlines() == ["- SECRET", "- TOKEN"]
    said = server.cli("config", "set", *here, "TOKEN=another")
    assert "builds see the change of TOKEN from the next push on" in said
    project.write({"more.txt": "again"}).commit()
    assert "build sees another and no secret" in project.push().output


def test_app_json_generates_once_and_names_what_is_missing(project: Project) -> None:
    wanted = {"KEY": {"generator": "secret"}, "MAIL": {"description": "mail host"}, "GREETING": "hello"}
    refused = project.deploy({**FILES, "app.json": json.dumps({"env": wanted})}, status=1)
    assert "app.json requires config that is not set: MAIL" in refused.output
    assert f"hostd config set -a {project.name} MAIL=..." in refused.output
    assert project.tip() == ""
    project.server.cli("config", "set", "-a", project.name, "MAIL=localhost")
    assert "app.json: set KEY, GREETING" in project.push().output
    seen = project.get().json()
    assert (seen["MAIL"], seen["GREETING"], len(seen["KEY"])) == ("localhost", "hello", 64)
    project.write({"more.txt": ""}).commit()
    project.push()
    assert project.get().json()["KEY"] == seen["KEY"]


def test_a_group_reaches_all_apps_it_is_attached_to(project: Project, another: Callable[[], Project]) -> None:
    server, other, group = project.server, another(), f"mail-{project.name}"
    server.cli("groups", "create", group)
    server.cli("groups", "set", group, "MAIL=one", "OWN=group")
    server.cli("config", "set", "-a", other.name, "OWN=own")
    picky = {"Procfile": 'web: test "$MAIL" != bad && exec python3 server.py\n'}
    for each, files in ((project, FILES), (other, {**FILES, **picky})):
        each.deploy(files)
        assert f"{group} is attached: v2 is live" in server.cli("groups", "attach", group, "-a", each.name)
    said = server.cli("groups", "set", group, "MAIL=two")
    assert f"{project.name}-production: v3 is live" in said
    assert [each.get().json()["MAIL"] for each in (project, other)] == ["two", "two"]
    assert [each.get().json()["OWN"] for each in (project, other)] == ["group", "own"]
    said = server.cli("groups", "set", group, "MAIL=bad", status=5)
    assert f"{other.name}-production keeps the release it has" in said
    assert f"1 of 2 did not start with the change: {other.name}-production" in said
    assert [each.get().json()["MAIL"] for each in (project, other)] == ["bad", "two"]
    for each in (project, other):
        server.cli("groups", "detach", group, "-a", each.name)
    server.cli("groups", "destroy", group)
    assert "MAIL" not in project.get().json()


def test_config_travels_in_a_file(project: Project) -> None:
    server, here = project.server, ("-a", project.name)
    file = project.directory / "copied.env"
    server.cli("config", "set", *here, "A=it's\ntwo lines", "--plain")
    server.cli("config", "set", *here, "KEY=s3cret", "--secret")
    server.cli("config", "pull", str(file), *here)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "s3cret" not in file.read_text()
    file.write_text(file.read_text() + "export B='more'\n")
    server.cli("config", "import", str(file), *here)
    project.deploy(FILES)
    seen = project.get().json()
    assert (seen["A"], seen["B"], seen["KEY"]) == ("it's\ntwo lines", "more", "s3cret")


def test_the_key_is_replaced_while_apps_go_on() -> None:
    with serving() as server:
        server.cli("login", server.url, "--token", server.token)
        project = server.create("rotated")
        server.cli("config", "set", "-a", "rotated", "--secret", "KEY=s3cret")
        project.deploy(FILES)
        old = key_of(server)
        assert "another hostd" in server.cli("admin", "rotate-key", status=6)
        server.terminate()
        assert project.get().json()["KEY"] == "s3cret"
        assert "2 secrets are encrypted with a new key" in server.cli("admin", "rotate-key")
        assert key_of(server) != old
        server.start()
        server.cli("config", "set", "-a", "rotated", "A=1")
        seen = project.get().json()
        assert (seen["KEY"], seen["A"]) == ("s3cret", "1")
        assert "v3 is live" in server.cli("rollback", "v1", "-a", "rotated")


def key_of(server: Server) -> bytes:
    """The key file of a hostd."""
    return (server.data / "data/key").read_bytes()
