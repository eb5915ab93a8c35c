"""A real hostd process in a directory of its own, and real git pushing to it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

HOSTD = Path(sys.executable).parent / "hostd"


def free_port() -> int:
    """A TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Server:
    """One hostd. `stop` ends all of it, `kill` is kill -9 of the control plane alone."""

    data: Path
    http_port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    ssh_port: int = field(default_factory=free_port)
    token: str = ""
    process: subprocess.Popen[bytes] | None = None
    extra: dict[str, str] = field(default_factory=dict)
    program: tuple[str | Path, ...] = (HOSTD,)

    @property
    def url(self) -> str:
        """Where the API and git are."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def env(self) -> dict[str, str]:
        """The process environment of hostd, and of its CLI."""
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.data / "home"),
            "HOSTD_DATA": str(self.data / "data"),
            "HOSTD_HTTP_PORT": str(self.http_port),
            "HOSTD_LISTEN": f"127.0.0.1:{self.api_port}",
            "HOSTD_PUBLIC_URL": self.url,
            "HOSTD_SSH_LISTEN": f"127.0.0.1:{self.ssh_port}",
            **self.extra,
        }

    @property
    def installation(self) -> str:
        """What names everything that it makes on the machine."""
        with sqlite3.connect(self.data / "data/hostd.db") as db:
            ((name,),) = db.execute("select value from settings where key = 'installation'")
        return str(name)

    def start(self) -> "Server":
        """Start it and wait until it answers."""
        (self.data / "home").mkdir(exist_ok=True)
        log = (self.data / "hostd.log").open("ab")
        self.process = subprocess.Popen(
            [*self.program, "serve"], env=self.env, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        wait_for(self._answers, 60, lambda: f"hostd did not start:\n{self.log()[-3000:]}")
        if not self.token:
            self.token = next(
                line.split()[-1] for line in self.log().splitlines() if "shown only now" in line
            )
        return self

    def _answers(self) -> bool:
        assert self.process and self.process.poll() is None, self.log()[-3000:]
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/healthz").status_code == 200
        return False

    def log(self) -> str:
        """All that hostd printed."""
        return (self.data / "hostd.log").read_text(errors="replace")

    def kill(self) -> None:
        """kill -9, then reap it."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def stop(self) -> None:
        """End hostd, the router and every Instance, and remove everything."""
        if self.process and self.process.poll() is None:
            self.terminate()
        subprocess.run([HOSTD, "admin", "stop"], env=self.env, check=False, capture_output=True, timeout=60)
        shutil.rmtree(self.data, ignore_errors=True)

    def api(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request to the API as the administrator."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.request(method, f"{self.url}/api/v1{path}", headers=headers, timeout=60, **options)

    def cli(self, *words: str, status: int = 0, cwd: Path | None = None) -> str:
        """Run `hostd WORDS`; its output. The exit status must be `status`."""
        done = subprocess.run(
            [HOSTD, *words], env=self.env, capture_output=True, text=True, timeout=120, cwd=cwd or self.data
        )
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + (done.stderr if status else "")

    def create(self, name: str) -> "Project":
        """A new App with an empty work tree."""
        response = self.api("POST", "/apps", json={"name": name})
        assert response.status_code == 201, response.text
        return Project(self, name, Path(tempfile.mkdtemp(dir=self.data))).init()

    def get(self, name: str, path: str = "/", **options: Any) -> httpx.Response:
        """Ask an App through the router."""
        host = {"Host": f"{name}.localhost:{self.http_port}", **options.pop("headers", {})}
        return httpx.get(f"http://127.0.0.1:{self.http_port}{path}", headers=host, timeout=30, **options)


@dataclass(frozen=True)
class Pushed:
    """How a `git push` ended, and all it printed."""

    status: int
    output: str


@dataclass(frozen=True)
class Project:
    """A work tree with the App as its remote `hostd`."""

    server: Server
    name: str
    directory: Path

    def init(self) -> "Project":
        """Make the repository."""
        self.git("init", "-q", "-b", "main")
        url = self.server.url.replace("://", f"://u:{self.server.token}@")
        self.git("remote", "add", "hostd", f"{url}/{self.name}.git")
        return self

    def git(self, *words: str) -> str:
        """Run git here; its output. Must succeed."""
        done = self._run("git", *words)
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()

    def _run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t@t",
            "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t@t",
        }
        return subprocess.run(
            argv,
            cwd=self.directory,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )

    def write(self, files: dict[str, str]) -> "Project":
        """Put files into the work tree."""
        for path, content in files.items():
            (self.directory / path).parent.mkdir(parents=True, exist_ok=True)
            (self.directory / path).write_text(content)
        return self

    def copy(self, source: Path) -> "Project":
        """Put a sample app into the work tree."""
        shutil.copytree(source, self.directory, dirs_exist_ok=True, symlinks=True)
        return self

    def commit(self, message: str = "a commit") -> str:
        """Commit everything; the id."""
        self.git("add", "-A")
        self.git("commit", "-qm", message, "--allow-empty")
        return self.git("rev-parse", "HEAD")

    def push(self, *words: str, status: int | None = 0) -> Pushed:
        """`git push hostd main`, or WORDS instead of the last two."""
        done = self._run("git", "push", *(words or ("hostd", "main")))
        pushed = Pushed(done.returncode, done.stdout.replace(self.server.token, "TOKEN"))
        assert status is None or done.returncode == status, pushed.output
        return pushed

    def deploy(self, files: dict[str, str], status: int | None = 0) -> Pushed:
        """Write, commit and push."""
        self.write(files).commit()
        return self.push(status=status)

    def get(self, path: str = "/", **options: Any) -> httpx.Response:
        """Ask the App."""
        return self.server.get(self.name, path, **options)

    def tip(self) -> str:
        """What hostd's main points at; "" if there is none."""
        return self.git("ls-remote", "hostd", "refs/heads/main").partition("\t")[0]


def wait_for(condition: Callable[[], bool], seconds: float, failure: Callable[[], str] | str = "") -> None:
    """Poll until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(failure() if callable(failure) else failure or "it did not happen in time")
        time.sleep(0.02)


@contextlib.contextmanager
def serving(*program: str | Path, **extra: str) -> Iterator[Server]:
    """A Server in a directory that sandboxes can enter; `program` runs instead of hostd, if it is given."""
    data = Path(tempfile.mkdtemp(prefix="hostd-test-"))
    data.chmod(0o711)
    server = Server(data, extra=extra, program=program or (HOSTD,))
    try:
        yield server.start()
    finally:
        server.stop()


def records(text: str) -> list[dict[str, Any]]:
    """Lines of JSON."""
    return [json.loads(line) for line in text.splitlines() if line]
