"""A real server on a loopback port, and the real `hostd` program with a home of its own."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from hostd.control.logs import LogBook
from hostd.control.platform import Platform
from hostd.http.app import create_app
from hostd.store import tokens, users
from tests.fakes import FakeEngine
from tests.fakes_control import FakeRouter, platform_in

PROGRAM = Path(sys.prefix) / "bin" / "hostd"


@dataclass(frozen=True)
class Server:
    """Where it answers, a Token of ada's, who is no administrator, and what it works with."""

    url: str
    token: str
    platform: Platform
    logbook: LogBook
    loop: asyncio.AbstractEventLoop


@dataclass(frozen=True)
class Person:
    """Somebody at a terminal: a home, a working directory, a server."""

    home: Path
    server: Server

    def run(
        self, *words: str, status: int = 0, into: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `hostd` and expect its exit status."""
        done = subprocess.run(
            [str(PROGRAM), *words],
            cwd=self.home / "work",
            env=self.env | more,
            input=into,
            text=True,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return done

    def git(self, *words: str, into: str = "") -> str:
        """Run git, which has to succeed; its output."""
        return subprocess.run(
            ["git", *words],
            cwd=self.home / "work",
            env=self.env | {"GIT_TERMINAL_PROMPT": "0"},
            input=into,
            text=True,
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of what this person runs."""
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://localhost:{listener.getsockname()[1]}"
        with platform_in(tmp_path_factory.mktemp("hostd"), public_url=url) as platform:
            logbook = LogBook(platform.data / "logs")
            loop = asyncio.new_event_loop()
            config = uvicorn.Config(
                create_app(platform, logbook), log_config=None, lifespan="off", timeout_graceful_shutdown=1
            )
            uvicorn_server = uvicorn.Server(config)

            async def serve() -> None:
                assert isinstance(platform.engine, FakeEngine)
                assert isinstance(platform.router, FakeRouter)
                collecting = asyncio.create_task(logbook.run(platform.engine, platform.router))
                await uvicorn_server.serve([listener])
                collecting.cancel()
                await asyncio.gather(collecting, *platform.background, return_exceptions=True)

            thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
            thread.start()
            try:
                yield Server(url, _token(platform, loop), platform, logbook, loop)
            finally:
                uvicorn_server.should_exit = True
                thread.join()
                loop.close()


def _token(platform: Platform, loop: asyncio.AbstractEventLoop) -> str:
    async def issue() -> str:
        user = await platform.db.call(users.create, "ada", False, platform.now())
        return await platform.db.call(tokens.issue, user.id, "test", platform.now())

    return asyncio.run_coroutine_threadsafe(issue(), loop).result(timeout=10)


@pytest.fixture
def nobody(server: Server, tmp_path: Path) -> Person:
    """Not logged in."""
    (tmp_path / "work").mkdir()
    return Person(tmp_path, server)


@pytest.fixture
def ada(nobody: Person) -> Person:
    """Logged in."""
    nobody.run("login", nobody.server.url, "--token", nobody.server.token)
    return nobody
