"""The real SSH server around a Platform of fakes, and people with the real ssh and git."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from hostd.command import Command, Result, check, run
from hostd.control.apps import create_app
from hostd.control.keys import add_key
from hostd.control.platform import Platform
from hostd.model.app import App, User
from hostd.ssh.server import Limits, serving
from hostd.store import users
from tests.fakes_control import platform_in


@dataclass(frozen=True)
class Person:
    """Somebody at a terminal, with a key that may be theirs at hostd too."""

    user: User
    home: Path
    port: int

    @property
    def env(self) -> dict[str, str]:
        """What git needs."""
        names = {f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return names | {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_SSH_COMMAND": " ".join(self.program),
        }

    @property
    def program(self) -> tuple[str, ...]:
        """ssh, with this key and nothing of the machine's."""
        options = {
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": str(self.home / "known_hosts"),
            "LogLevel": "ERROR",
        }
        flags = (word for name, value in options.items() for word in ("-o", f"{name}={value}"))
        return ("ssh", "-F", "none", "-i", str(self.home / "key"), *flags)

    @property
    def public_key(self) -> str:
        """The line of the .pub file."""
        return (self.home / "key.pub").read_text()

    async def ssh(self, *words: str, options: tuple[str, ...] = (), given: bytes = b"") -> Result:
        """`ssh hostd WORDS`."""
        argv = ("ssh", *options, *self.program[1:], "-p", str(self.port), "git@127.0.0.1", *words)
        return await run(Command(argv, self.env, self.home, given))

    async def git(self, *words: str) -> Result:
        """`git WORDS` in this person's work tree."""
        return await run(Command(("git", *words), self.env, self.home / "work"))

    def url(self, app: str) -> str:
        """Where to push."""
        return f"ssh://git@127.0.0.1:{self.port}/{app}.git"


Serve = Callable[..., Awaitable[int]]
Invite = Callable[..., Awaitable[Person]]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    (tmp_path / "hostd").mkdir()
    with platform_in(tmp_path / "hostd") as made:
        yield made


@pytest.fixture
async def serve(platform: Platform) -> AsyncIterator[Serve]:
    """Starts a server with the given Limits; its port. It is stopped at the end."""
    async with AsyncExitStack() as running:

        async def start(limits: Limits = Limits()) -> int:  # noqa: B008 (frozen)
            listener = running.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
            port: int = listener.getsockname()[1]
            await running.enter_async_context(serving(platform, listener, platform.data / "host_key", limits))
            return port

        yield start


@pytest.fixture
async def invite(platform: Platform, tmp_path: Path) -> Invite:
    """Makes a Person with a key and a commit, tagged v1; the key is theirs at hostd, unless told otherwise."""

    async def make(name: str, port: int, known: bool = True) -> Person:
        user = await platform.db.call(users.create, name, False, platform.now())
        person = Person(user, tmp_path / name, port)
        (person.home / "work").mkdir(parents=True)
        key = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@laptop", "-f", "key")
        await check(Command(key, person.env, person.home))
        if known:
            await add_key(platform, user, person.public_key, None)
        await person.git("init", "-q")
        await person.git("commit", "-q", "--allow-empty", "-m", "first")
        await person.git("tag", "v1")
        return person

    return make


@pytest.fixture
async def ada(serve: Serve, invite: Invite) -> Person:
    return await invite("ada", await serve())


@pytest.fixture
async def shop(platform: Platform, ada: Person) -> App:
    """An App of ada's."""
    return await create_app(platform, ada.user, "shop")
