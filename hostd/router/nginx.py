"""NginxRouter: the data plane as `control` knows it. It owns the directory that nginx runs from."""

import asyncio
import contextlib
import logging
import os
import resource
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from hostd import files
from hostd.errors import Conflict, Unavailable
from hostd.model.instance import Endpoint
from hostd.model.log import RequestRecord
from hostd.model.route import Route
from hostd.router import process, table
from hostd.router.certificates import Certificates
from hostd.router.config import WORKER, RouterConfig, version
from hostd.router.config import files as nginx_files
from hostd.router.publishing import Control
from hostd.router.records import RecordReader
from hostd.router.tablefile import TableFile
from hostd.router.waking import Wake, WakeSocket

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SOCKET_PATH_LIMIT = 107  # bytes, sockaddr_un
log = logging.getLogger(__name__)


class NginxRouter:
    """Satisfies `control.platform.Router`. nginx goes on when hostd ends, and serves the table from disk.

    `directory` has to be searchable by www-data, as has every directory that a Route names.
    """

    def __init__(
        self,
        directory: Path,
        http_port: int,
        https_port: int | None,
        hostd_endpoint: Endpoint | None,
        hostd_host: str | None,
        base: str,
    ) -> None:
        self._directory = directory
        self._config = RouterConfig(
            directory=directory,
            http_port=http_port,
            https_port=https_port,
            hostd_endpoint=hostd_endpoint,
            hostd_host=hostd_host,
            ipv6=bool(_text(Path("/proc/net/if_inet6"))),
            root=os.geteuid() == 0,
            open_files=min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65536),
        )
        self._certificates = Certificates(directory / "private", base)
        self._control = Control(directory / "private/control.sock")
        self._records = RecordReader(directory / "requests.sock")
        self._waking = WakeSocket(directory / "wake.sock")
        self._file = TableFile(directory / "table.jsonl", _text(BOOT_ID).strip())
        self._entries: dict[str, str] = {}
        self._lock = asyncio.Lock()
        self._supervision: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Write the files, start nginx or adopt the one that runs, and watch it from now on.

        Raises Unavailable: nginx or its Lua module is not installed, or a port is taken.
        """
        process.check_installed()
        self._lay_out()
        await self._start_or_adopt()
        self._entries = await self._control.table()
        self._entries.pop(self._config.hostd_host or "", None)
        self._file.write(self._entries)
        self._records.open(WORKER if self._config.root else None)
        self._supervision = asyncio.create_task(self._supervise(), name="router supervision")

    async def close(self) -> None:
        """Stop watching. nginx goes on serving what was published."""
        if self._supervision:
            self._supervision.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervision
            self._supervision = None
        await self._waking.close()
        self._records.close()
        self._file.close()
        await self._control.close()

    async def stop(self) -> None:
        """Stop watching and end nginx."""
        await self.close()
        await process.stop(self._directory)

    async def publish(self, routes: Sequence[Route]) -> None:
        """Set these hosts' routes; returns once every new request follows them and the table on disk has them.

        Raises Unavailable if the disk or nginx does not take them, Conflict for hostd's own host.
        """
        if any(route.host == self._config.hostd_host for route in routes):
            raise Conflict(f"{self._config.hostd_host} is hostd's own address")
        entries = {route.host: table.entry(route) for route in routes}
        async with self._lock:
            await self._keep(entries)
            await self._control.publish(entries)

    async def withdraw(self, hosts: Sequence[str]) -> None:
        """Forget these hosts: they answer as unknown from now on."""
        async with self._lock:
            await self._keep(dict.fromkeys(set(hosts) & self._entries.keys()))
            await self._control.withdraw([host for host in hosts if host != self._config.hostd_host])

    async def table(self) -> Mapping[str, Route]:
        """What is published now, by host."""
        return {host: table.route_of(host, text) for host, text in self._entries.items()}

    async def in_flight(self, endpoints: Sequence[Endpoint]) -> int:
        """Requests and WebSockets that are under way to these endpoints."""
        return await self._control.in_flight([str(endpoint) for endpoint in endpoints])

    def requests(self) -> AsyncIterator[RequestRecord]:
        """Every request from now on, for ever. A reader that lags 10,000 behind misses some."""
        return self._records.requests()

    async def on_wake(self, wake: Wake) -> None:
        """From now on ask `wake` for a host that is asleep; what it gives is "ok" or the code of a page."""
        await self._waking.open(wake, WORKER if self._config.root else None)

    async def answer(self, host: str, path: str, text: str | None) -> None:
        """Answer `text` at this path of this host before any app is asked; None: no longer."""
        await self._control.answer(host, path, text)

    async def use_certificate(self, host: str, chain_pem: str, key_pem: str) -> None:
        """Answer TLS clients that ask for `host` with this certificate, also after a restart."""
        try:
            await asyncio.to_thread(self._certificates.keep, host, chain_pem, key_pem)
        except OSError as error:
            raise Unavailable(f"the certificate for {host} cannot be written: {error.strerror}") from error
        await self._control.certificate(host, f"{chain_pem}\0{key_pem}")

    async def forget_certificate(self, host: str) -> None:
        """From now on there is none for `host`; nothing if there was none."""
        await asyncio.to_thread(self._certificates.forget, host)
        await self._control.certificate(host, None)

    async def certified(self) -> Sequence[str]:
        """The hosts that have a certificate; `*.ZONE` stands for all below it."""
        return self._certificates.hosts()

    def is_certified(self, host: str) -> bool:
        """Whether TLS clients that ask for `host` are shown a certificate."""
        return self._certificates.has(host)

    async def _start_or_adopt(self) -> None:
        contents = nginx_files(self._config)
        current = self._directory / "version"
        pid = process.running_pid(self._directory)
        same = _text(current) == version(contents)
        if not same:
            current.unlink(missing_ok=True)
            for name, content in contents.items():
                files.replace(self._directory / name, content)
        if not pid:
            await process.start(self._directory, self._ports())
        elif not same:
            await process.reload(self._directory, pid)
        files.replace(current, version(contents).encode())

    async def _keep(self, change: Mapping[str, str | None]) -> None:
        entries = dict(self._entries)
        for host, text in change.items():
            if text is None:
                del entries[host]
            else:
                entries[host] = text
        try:
            await asyncio.to_thread(self._file.add, change, entries)
        except OSError as error:
            raise Unavailable(f"the router's table cannot be written: {error.strerror}") from error
        self._entries = entries

    async def _supervise(self) -> None:
        while True:
            try:
                await process.until_ended(process.watch(self._directory))
                log.error("the watch of nginx ended; starting it again")
            except Unavailable as error:
                log.error("%s; trying again", error.message)
            await asyncio.sleep(1)

    def _ports(self) -> list[int]:
        return [port for port in (self._config.http_port, self._config.https_port) if port]

    def _lay_out(self) -> None:
        """The directories. `private` holds what only root may reach; nginx makes its sockets world-writable."""
        if len(str(self._directory / "private/control.sock").encode()) > SOCKET_PATH_LIMIT:
            raise Unavailable(f"the path {self._directory} is too long for a unix socket in it")
        for name, mode in (("", 0o755), ("lua", 0o755), ("temporary", 0o700), ("private", 0o700)):
            path = self._directory / name
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(mode)
        if self._config.root:
            shutil.chown(self._directory / "temporary", WORKER)
        self._certificates.prepare()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
