"""The SSH server: who gets in, how many, for how long. What they may do is in `session`.

Everything but git is off: no terminal, no forwarding of ports, sockets, agents or X11, no sftp, no passwords.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from hostd import files
from hostd.control.keys import load_keyring
from hostd.control.platform import Platform
from hostd.ssh import algorithms
from hostd.ssh.session import GitSession

PROBE_SECONDS = 30.0  # between questions whether the client is still there
STOP_SECONDS = 30.0  # for pushes that are past their commit point
LEAVE_SECONDS = 3.0  # for clients to go, once told how it ended
HINT = "hostd knows none of your SSH keys. Add one: hostd keys add"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is let in. `idle` is seconds without a byte of a session in either direction: a client may take
    minutes to pack a large history, git on our side says something every 5 s. `sessions` is per connection."""

    login_seconds: float = 20.0
    idle_seconds: float = 600.0
    connections: int = 200
    connections_of_one_address: int = 50
    sessions: int = 10


@contextlib.asynccontextmanager
async def serving(
    platform: Platform, listener: socket.socket, host_key: Path, limits: Limits = Limits()
) -> AsyncIterator[None]:
    """Serve git over SSH on `listener`; at the end cancel what is not committed, and let the rest finish."""
    await load_keyring(platform)
    house = Guests(platform, limits)
    acceptor = await asyncssh.listen(
        sock=listener,
        options=await asyncssh.SSHServerConnectionOptions.construct(
            server_factory=lambda: Guest(house),
            server_host_keys=[host_key_at(host_key)],
            server_version="hostd",
            encoding=None,
            kex_algs=algorithms.KEY_EXCHANGES,
            encryption_algs=algorithms.CIPHERS,
            mac_algs=algorithms.MACS,
            signature_algs=algorithms.SIGNATURES,
            compression_algs=None,
            gss_host=None,
            x509_trusted_certs=None,
            allow_pty=False,
            agent_forwarding=False,
            line_editor=False,
            login_timeout=limits.login_seconds,
            keepalive_interval=PROBE_SECONDS,
        ),
    )
    sweeping = asyncio.create_task(house.sweep())
    try:
        yield
    finally:
        sweeping.cancel()
        acceptor.close()
        await house.close()


def host_key_at(path: Path) -> asyncssh.SSHKey:
    """The key by which clients know this hostd; made at the first start, for ever, readable by nobody else."""
    if not path.exists():
        made = asyncssh.generate_private_key("ssh-ed25519", comment="hostd")
        files.replace(path, made.export_private_key(), mode=0o600)
    return asyncssh.read_private_key(path)


class Guests:
    """Every connection there is, with its sessions."""

    def __init__(self, platform: Platform, limits: Limits) -> None:
        self.platform = platform
        self.limits = limits
        self.sessions: dict[asyncio.Task[None], GitSession] = {}
        self._inside: set[Guest] = set()

    def enter(self, guest: "Guest") -> bool:
        """Whether there is room for one more."""
        neighbours = [other for other in self._inside if other.address == guest.address]
        if len(self._inside) >= self.limits.connections:
            return False
        if len(neighbours) >= self.limits.connections_of_one_address:
            return False
        self._inside.add(guest)
        return True

    def leave(self, guest: "Guest") -> None:
        """It has gone."""
        self._inside.discard(guest)

    async def sweep(self) -> None:
        """Show those out who have not said or taken anything for long."""
        while True:
            await asyncio.sleep(self.limits.idle_seconds / 10)
            for guest in list(self._inside):
                guest.leave_if_idle()

    async def close(self) -> None:
        """Cancel the sessions that are not committed, wait for the others, close every connection."""
        for task, session in self.sessions.items():
            if not session.committed:
                session.interrupt()
                task.cancel()
        if tasks := list(self.sessions):
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in tasks:
                task.cancel()
            await self._see_off()
        for guest in list(self._inside):
            guest.show_out()

    async def _see_off(self) -> None:
        """Let clients leave by themselves: to one that is cut off, also a push that went well has failed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                for guest in list(self._inside):
                    await guest.left()


class Guest(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, house: Guests) -> None:
        self.address = ""
        self._house = house
        self._connection: asyncssh.SSHServerConnection | None = None
        self._fingerprint = ""
        self._hinted = False
        self._sessions = 0
        self._moved = asyncio.get_running_loop().time()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Turn it away if the house is full."""
        self._connection = conn
        self.address = str(conn.get_extra_info("peername", ("",))[0])
        if not self._house.enter(self):
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Its sessions learn of it from their channels."""
        self._house.leave(self)

    def public_key_auth_supported(self) -> bool:
        """The one way in. A key is looked up only; asyncssh checks that the client has its private half."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Any user name will do: the key says who it is. The last key asked about is the one that is signed with."""
        self._fingerprint = key.get_fingerprint()
        return self._fingerprint in self._house.platform.keyring

    def kbdint_auth_supported(self) -> bool:
        """Offered once, after the keys, and never a way in: only so can a server say why it refuses."""
        return not self._hinted

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        """No question, just the hint."""
        self._hinted = True
        return "", HINT, "", []

    def session_requested(self) -> asyncssh.SSHServerSessionFactory | bool:
        """A channel for one command."""
        return self._start if self._sessions < self._house.limits.sessions else False

    def leave_if_idle(self) -> None:
        """End the connection if nothing has moved for long."""
        if asyncio.get_running_loop().time() - self._moved > self._house.limits.idle_seconds:
            self.show_out()

    async def left(self) -> None:
        """Return once the connection has ended."""
        assert self._connection
        await self._connection.wait_closed()

    def show_out(self) -> None:
        """End the connection."""
        assert self._connection
        self._connection.close()

    def _start(
        self,
        stdin: asyncssh.SSHReader[bytes],
        stdout: asyncssh.SSHWriter[bytes],
        stderr: asyncssh.SSHWriter[bytes],
    ) -> None:
        self._alive()
        self._sessions += 1
        session = GitSession(self._house.platform, self._fingerprint, (stdin, stdout, stderr), self._alive)
        # A task of our own: those of asyncssh end with the connection, a committed push does not.
        task = asyncio.create_task(session.run())
        self._house.sessions[task] = session
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sessions -= 1
        del self._house.sessions[task]

    def _alive(self) -> None:
        self._moved = asyncio.get_running_loop().time()
