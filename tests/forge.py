"""A forge on this machine: a repository served by git's own HTTP backend, and an API that keeps what it is told."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ZERO = "0" * 40
NAMES = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@dataclass
class FakeForge:
    """Has the repository me/shop; who fetches needs `token`, unless it is "". `statuses` are those of its API."""

    root: Path
    port: int = 0
    token: str = ""
    statuses: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def repository(self) -> str:
        return f"{self.url}/me/shop.git"

    def git(self, *words: str, into: str = "") -> str:
        """What git prints in the repository."""
        env = {"PATH": os.environ["PATH"], "GIT_DIR": str(self.root / "me/shop.git"), **NAMES}
        done = subprocess.run(
            ["git", *words], env=env, input=into, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, ref: str, files: dict[str, str], message: str = "a commit") -> str:
        """A commit with these files, `ref` moved to it; its id."""
        entries = [
            f"100644 blob {self.git('hash-object', '-w', '--stdin', into=text)}\t{path}\n"
            for path, text in files.items()
        ]
        tree = self.git("mktree", into="".join(entries))
        parent = self.git("for-each-ref", "--format=%(objectname)", ref)
        commit = self.git("commit-tree", tree, "-m", message, *(["-p", parent] if parent else []))
        self.git("update-ref", ref, commit)
        return commit

    def states(self, commit: str) -> list[str]:
        """What its API was told of a commit, in order."""
        return [body["state"] for path, body in self.statuses if path.endswith(f"/statuses/{commit}")]


def pushed(ref: str, commit: str) -> dict[str, Any]:
    """The body of GitHub's push event."""
    repository = {"full_name": "me/shop"}
    return {"ref": ref, "after": commit, "deleted": commit == ZERO, "repository": repository}


def pull_request(action: str, number: int, commit: str, head: str = "them/shop") -> dict[str, Any]:
    """The body of GitHub's pull_request event."""
    return {
        "action": action,
        "number": number,
        "repository": {"full_name": "me/shop"},
        "pull_request": {
            "head": {"sha": commit, "ref": "patch-1", "repo": {"full_name": head}},
            "base": {"repo": {"full_name": "me/shop"}},
        },
    }


def signed(secret: str, event: str, payload: Any, key: str) -> tuple[dict[str, str], bytes]:
    """Headers and body as GitHub sends them."""
    body = json.dumps(payload).encode()
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": key,
        "x-hub-signature-256": f"sha256={digest}",
    }
    return headers, body


class _Server(ThreadingHTTPServer):
    """Listens on a free port."""

    def __init__(self, forge: FakeForge) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.forge = forge


class _Handler(BaseHTTPRequestHandler):
    """Serves the FakeForge that the server carries."""

    @property
    def forge(self) -> FakeForge:
        assert isinstance(self.server, _Server)
        return self.server.forge

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def answer(self, body: bytes) -> None:
        if self.path.startswith("/api/"):
            self.forge.statuses.append((self.path, json.loads(body)))
            return self.reply(201, {}, b"{}")
        if self.path.startswith("/moved/"):
            return self.reply(302, {"Location": self.path.removeprefix("/moved")}, b"")
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        if self.forge.token and base64.b64decode(given).decode().partition(":")[2] != self.forge.token:
            return self.reply(401, {"WWW-Authenticate": 'Basic realm="forge"'}, b"")
        self.backend(body)

    def backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.forge.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        self.reply(status, headers, content)

    def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def forge_in(root: Path, token: str = "") -> Iterator[FakeForge]:
    """A forge with an empty repository."""
    forge = FakeForge(root, token=token)
    (root / "me").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "--bare", str(root / "me/shop.git")], check=True)

    server = _Server(forge)
    forge.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield forge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
