"""One command over SSH: git-receive-pack or git-upload-pack of an App, or the words why not.

git's own bytes go over stdout; what people read goes over stderr, which git shows as it is.
"""

import contextlib
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable

import asyncssh

from hostd.control.access import Action
from hostd.control.apps import find_app
from hostd.control.keys import user_of_key
from hostd.control.platform import Platform
from hostd.control.receiving import NO_LFS, Receiving
from hostd.errors import HostdError, Invalid
from hostd.git import fetch
from hostd.git.config import PACK_LIMIT
from hostd.model.app import App, User

# git always quotes the path with single quotes; a name of an App holds none.
_COMMAND = re.compile(r"git[- ](receive|upload)-pack '([^']*)'", re.ASCII)
_MARGIN = (
    1024 * 1024
)  # bytes beyond PACK_LIMIT, for what comes before the pack; git itself says when it is too large
_log = logging.getLogger(__name__)


class GitSession:
    """What one channel asked for. `alive` is called whenever bytes have moved."""

    def __init__(
        self,
        platform: Platform,
        fingerprint: str,
        streams: tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes], asyncssh.SSHWriter[bytes]],
        alive: Callable[[], None],
    ) -> None:
        self._platform = platform
        self._fingerprint = fingerprint
        self._stdin, self._stdout, self._stderr = streams
        self._channel: asyncssh.SSHServerChannel[bytes] = self._stdout.channel  # type: ignore[assignment]
        self._alive = alive
        self._receiving: Receiving | None = None

    @property
    def committed(self) -> bool:
        """Whether this is a push that is past its commit point."""
        return self._receiving is not None and self._receiving.committed

    async def run(self) -> None:
        """Do it, and end the channel with an exit status: 0, or that of the HostdError."""
        try:
            status = await self._serve()
        except HostdError as error:
            status = self._refuse(error)
        except (OSError, asyncssh.Error):
            return  # the client is gone
        except Exception:  # noqa: BLE001 (the edge)
            reference = secrets.token_hex(4)
            _log.exception("a session over SSH failed (reference %s)", reference)
            status = self._refuse(HostdError(f"hostd has a fault of its own (reference {reference})"))
        with contextlib.suppress(OSError):
            self._channel.exit(status)

    def interrupt(self) -> None:
        """Say that hostd stops, and end the channel."""
        with contextlib.suppress(OSError):
            self._refuse(HostdError("hostd is being stopped", hint="try again in a minute"))
            self._channel.exit(1)

    async def _serve(self) -> int:
        user = await user_of_key(self._platform, self._fingerprint)
        command = self._channel.get_command()
        if command is None and self._channel.get_subsystem() is None:
            return self._greet(user)
        service, name = parse(command or "")
        if service == "receive":
            return await self._receive(await find_app(self._platform, user, Action.PUSH, name), user)
        return await self._upload(await find_app(self._platform, user, Action.PULL, name))

    def _greet(self, user: User) -> int:
        url = self._platform.names.ssh_remote("APP")
        self._tell(f"Hi {user.name}! hostd has no shell. Push with git to {url}\n")
        return 1

    async def _receive(self, app: App, user: User) -> int:
        self._receiving = receiving = Receiving(self._platform, app, user, stateless=False)
        await receiving.open()
        await receiving.converse(self._input(), self._send, self._channel.wait_closed())
        return 0

    async def _upload(self, app: App) -> int:
        protocol = self._channel.get_environment().get("GIT_PROTOCOL", "")
        repository = self._platform.repositories.path(app)
        answer = fetch.upload(repository, self._input(), protocol, stateless=False)
        async with contextlib.aclosing(answer):
            async for data in answer:
                await self._send(data)
        return 0

    async def _input(self) -> AsyncIterator[bytes]:
        total = 0
        while total <= PACK_LIMIT + _MARGIN and (data := await self._stdin.read(65536)):
            total += len(data)
            self._alive()
            yield data

    async def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a client that is gone; whoever has to know watches the channel
            self._stdout.write(data)
            await self._stdout.drain()
            self._alive()

    def _refuse(self, error: HostdError) -> int:
        with contextlib.suppress(OSError):
            for text in filter(None, (error.message, *error.hint.splitlines())):
                self._tell(f" !     {text}\n")
        return error.exit_code

    def _tell(self, text: str) -> None:
        self._stderr.write(text.encode(errors="replace"))


def parse(command: str) -> tuple[str, str]:
    """`receive` or `upload`, and the name of the App, which may be anything. Raises Invalid for other commands."""
    if command.startswith("git-lfs-"):
        raise Invalid(NO_LFS)
    found = _COMMAND.fullmatch(command)
    if not found:
        raise Invalid("only git push, fetch and clone are possible here: there is no shell, and no sftp")
    return found[1], found[2].removeprefix("/").removesuffix(".git")
