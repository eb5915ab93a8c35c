"""An app, a visitor and a user who mean ill: what each can reach is what is theirs."""

import asyncio
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import httpx
import pytest

from hostd.http.body import SILENCE
from hostd.http.git import AT_ONCE
from hostd.store import tokens, users
from hostd.store.database import Database
from tests.e2e.server import Project, Server
from tests.e2e.test_bad_apps import ANSWER, files
from tests.e2e.test_bad_files import raw_get

PROBE = """
import concurrent.futures, http.server, json, os, socket, socketserver, urllib.parse
def reach(target):
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 1.5).close()
        return "reached"
    except OSError as error:
        return type(error).__name__
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query).get("to", [])
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            body = json.dumps(dict(zip(wanted, pool.map(reach, wanted)))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
class Server(socketserver.ThreadingMixIn, socketserver.TCPServer): pass
Server(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


def endpoint(project: Project) -> str:
    """Where the App's web process listens."""
    (web,) = project.server.api("GET", f"/apps/{project.name}/processes").json()
    return str(web["endpoint"])


def own_addresses() -> list[str]:
    """The machine's addresses."""
    listed = subprocess.run(["ip", "-json", "-4", "addr"], capture_output=True, text=True, check=True).stdout
    return [info["local"] for link in json.loads(listed) for info in link["addr_info"]]


def test_an_app_reaches_neither_its_neighbour_nor_the_machine_nor_the_cloud_behind_it(
    server: Server, project: Project
) -> None:
    neighbour = server.create(f"{project.name}-next")
    neighbour.deploy(files("exec python3 program 200", ANSWER))
    project.deploy(files("exec python3 program", PROBE))
    here = endpoint(project)
    with socket.create_server(("0.0.0.0", 0)) as service:  # noqa: S104
        ports = (server.http_port, server.api_port, server.ssh_port, service.getsockname()[1])
        machine = [f"{address}:{port}" for address in own_addresses() for port in ports]
        others = [endpoint(neighbour), "169.254.169.254:80", "10.0.0.1:80", "192.168.0.1:80", "172.17.0.1:80"]
        said = project.get("/", params={"to": [*machine, *others]}).json()
        assert len(said) == len({*machine, *others})
        assert [target for target, how in said.items() if how == "reached"] == []
        assert project.get("/", params={"to": here}).json() == {here: "reached"}


HOSTS = {
    b"": b"400",
    b"Host:": b"400",
    b"Host: a b": b"400",
    b"Host: {app}.localhost/x": b"400",
    b"Host: {app}.localhost:80@evil": b"400",
    b"Host: {app}.localhost:99999": b"400",
    b"Host: {app}.localhost#": b"400",
    b"Host: {app}.localhost?": b"400",
    b"Host: ../../{app}.localhost": b"400",
    b"Host: {app}.localhost\r\nHost: {app}.localhost": b"400",
    b"Host: {app}.localhost\r\n Host: x": b"400",
    b"Host : {app}.localhost": b"400",
    b"Host: \xff\xfe.localhost": b"400",
    b"Host: {app}.localhost\x00": b"400",
    b"Host: <script>alert(1)</script>": b"400",
    b"Host: nobody.localhost": b"404",
    b"Host: localhost": b"404",
    b"Host: 127.0.0.1": b"404",
    b"Host: x.{app}.localhost": b"404",
    b"Host: {app}.localhost.evil.example": b"404",
    b"Host: {app}": b"404",
}


def test_a_hostile_host_is_refused_and_not_repeated(project: Project) -> None:
    project.deploy(files("exec python3 program 200", ANSWER))
    for template, status in HOSTS.items():
        line = template.replace(b"{app}", project.name.encode())
        with socket.create_connection(("127.0.0.1", project.server.http_port), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\n" + line + b"\r\nConnection: close\r\n\r\n")
            answer = client.recv(65536)
        assert answer.split(b" ")[1] == status, (line, answer)
        assert b"<script>alert" not in answer
        assert b"evil" not in answer
    assert raw_get(project, "/").endswith(b"ok")


@pytest.fixture(scope="module")
def stranger(server: Server) -> Iterator[str]:
    """The token of a user who is no administrator and owns nothing."""

    async def register() -> str:
        database = Database.open(server.data / "data/hostd.db")
        try:
            now = datetime.now(UTC)
            user = await database.call(users.create, "stranger", False, now)
            return await database.call(tokens.issue, user.id, "test", now, None)
        finally:
            database.close()

    yield asyncio.run(register())


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    """Asks the API, with whatever token it is given."""
    with httpx.Client(base_url=server.url, timeout=30) as made:
        yield made


def bearer(token: str) -> dict[str, str]:
    """The headers that go with a token."""
    return {"Authorization": f"Bearer {token}"}


def operations(server: Server) -> list[tuple[str, str]]:
    """Every method and path of the API."""
    paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def filled(path: str, app: str) -> str:
    """A path with its parameters put in."""
    for name in ("number", "build_id", "token_id", "key_id", "preview", "branch", "name"):
        path = path.replace(f"{{{name}}}", "1")
    return path.replace("{app}", app)


def test_an_app_of_somebody_else_is_as_if_it_were_not_there(
    server: Server, client: httpx.Client, untouched: Project, stranger: str
) -> None:
    tried, headers = 0, bearer(stranger)
    for method, path in operations(server):
        if "{app}" not in path:
            continue
        body: dict[str, str] | None = {} if method in ("POST", "PATCH", "PUT") else None
        theirs = client.request(method, filled(path, untouched.name), json=body, headers=headers)
        nobodys = client.request(method, filled(path, "not-there"), json=body, headers=headers)
        assert (theirs.status_code, nobodys.status_code) == (404, 404), (method, path, theirs.text)
        assert theirs.text.replace(untouched.name, "not-there") == nobodys.text
        tried += 1
    assert tried > 10
    assert client.get("/api/v1/apps", headers=headers).json() == []


def test_slow_pushes_of_one_user_do_not_keep_out_another(
    server: Server, client: httpx.Client, project: Project, stranger: str
) -> None:
    slow = f"slow-{project.name}"
    assert client.post("/api/v1/apps", json={"name": slow}, headers=bearer(stranger)).status_code == 201
    head = (
        f"POST /{slow}.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stranger}\r\n"
        "Content-Type: application/x-git-receive-pack-request\r\nContent-Length: 1000\r\n\r\n0"
    )
    with ExitStack() as held:
        for _ in range(AT_ONCE + 4):
            connection = socket.create_connection(("127.0.0.1", server.api_port), timeout=10)
            held.enter_context(connection).sendall(head.encode())
        started = time.monotonic()
        project.deploy(files("exec python3 program 200", ANSWER))
        assert time.monotonic() - started < SILENCE  # after that the slow ones are gone anyway


def test_a_repository_of_somebody_else_is_as_if_it_were_not_there(
    server: Server, project: Project, stranger: str
) -> None:
    project.write(files("true")).commit()
    for name in (project.name, "not-there"):
        url = server.url.replace("://", f"://u:{stranger}@")
        for words in (("ls-remote", f"{url}/{name}.git"), ("push", f"{url}/{name}.git", "main")):
            done = project._run("git", *words)
            assert done.returncode != 0
            assert f"there is no app '{name}'" in done.stdout or "not found" in done.stdout, done.stdout
    assert project.tip() == ""


TOKENS = [
    "",
    "Bearer",
    "Bearer x",
    "Bearer hst_" + "a" * 32,
    "Bearer hst_" + "a" * 60_000,
    "Bearer hst_' OR 1=1 --",
    "Bearer hst_\xe9",
    "Basic",
    "Basic !!!",
    "Basic " + "A" * 50_000,
    "Basic /////w==",
    "Digest username=admin",
    "Negotiate YII=",
]


@pytest.mark.parametrize("path", ["/api/v1/apps", "/x.git/info/refs?service=git-receive-pack"])
def test_a_token_that_is_none_is_refused(client: httpx.Client, path: str) -> None:
    for value in TOKENS:
        answer = client.get(path, headers=[(b"Authorization", value.encode("latin-1"))])
        assert answer.status_code in (401, 429, 400, 431), (value[:40], answer.text)
        assert "hst_a" not in answer.text


BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"1",
    b'"x"',
    b"NaN",
    b'{"name": NaN}',
    b'{"name": 1e999}',
    b'{"name": null}',
    b'{"name": []}',
    b'{"name": {}}',
    b'{"name": true}',
    b'{"name": "\\ud800"}',
    b'{"name": "\\u0000"}',
    b'{"name": "a", "name": "b"}',
    b'{"name": "a",}',
    b"\xff\xfe{\x00}\x00",
    b'{"name": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    b'{"name": ' + b"9" * 10_000 + b"}",
    b'{"web": -1}',
    b'{"web": 1e9}',
    b'{"web": "2"}',
    b'{"web": 99999999999999999999999999}',
    b'{"1A": "x"}',
    b'{"LD_PRELOAD": "x"}',
    b'{"A=B": "x"}',
    b'{"A": "x\\u0000"}',
    b'{"A": "\\ud800"}',
    b'{"A": 1}',
    b'{"PORT": "1"}',
    b'{"release": 99999999999999999999}',
    b'{"release": -1}',
    b'{"expires_in_days": 1e300, "name": "x"}',
    b'{"expires_in_days": 99999999999, "name": "x"}',
    b'{"name": "' + b"x" * 900_000 + b'"}',
]


def test_no_body_makes_a_fault_of_hostd(server: Server, client: httpx.Client, untouched: Project) -> None:
    headers = {"Content-Type": "application/json", **bearer(server.token)}
    for method, path in operations(server):
        if method not in ("POST", "PATCH", "PUT"):
            continue
        for body in BODIES:
            answer = client.request(method, filled(path, untouched.name), content=body, headers=headers)
            assert answer.status_code < 500, (method, path, body[:60], answer.text)
            assert len(answer.text) < 5000


NUMBERS = ["0", "-1", "x", "1e9", "99999999999999999999999", "%00", "..", "%2e%2e%2fx", "\u0661"]


def test_no_path_or_query_makes_a_fault_of_hostd(
    server: Server, client: httpx.Client, untouched: Project
) -> None:
    for method, path in operations(server):
        if method != "GET":
            continue
        for number in NUMBERS:
            whole = filled(path, untouched.name).replace("/1", f"/{number}")
            for query in ("", "?lines=" + number, "?limit=" + number, "?process=" + number, "?follow=maybe"):
                answer = client.request(method, whole + query, headers=bearer(server.token))
                assert answer.status_code < 500, (whole + query, answer.text)


NAMES = [
    "",
    "ab",
    "a" * 64,
    "Shop",
    "a_b",
    "-shop",
    "shop-",
    "a--b",
    "1shop",
    "xn--x",
    "www",
    "admin",
    "api",
    "git",
    "hostd",
    "sh\u043ep",
    "shop\u200b",
    "shop ",
    "shop\n",
    "../x",
    "a/b",
    "a.b",
    "$(id)",
    "';drop table apps",
]


def test_a_hostile_name_for_an_app_is_refused_with_the_rule(server: Server) -> None:
    for name in NAMES:
        answer = server.api("POST", "/apps", json={"name": name})
        assert answer.status_code == 422, (name, answer.text)
        assert answer.text.isascii()
