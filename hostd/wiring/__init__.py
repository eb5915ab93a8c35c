"""`hostd serve`, and what an operator does to a whole hostd. `house` puts everything together.

The CLI imports it, and nobody else.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress

import uvicorn

from hostd import mounts
from hostd.control import key_rotation
from hostd.control.canary import end_canaries
from hostd.control.platform import Platform
from hostd.errors import Unavailable
from hostd.http.app import create_app
from hostd.http.terminal import FRAME_LIMIT
from hostd.settings import Settings
from hostd.ssh import server as ssh_server
from hostd.store.database import Database
from hostd.wiring import house as houses
from hostd.wiring import service
from hostd.wiring.ground import alone, holder, listening
from hostd.wiring.house import SHUTDOWN_LIMIT, House, clock, engine_of, open_platform, router_of


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
        alone(settings.data),
        listening(settings.listen_address, settings.listen_port, "HOSTD_LISTEN") as listener,
        _listening_for_ssh(settings) as ssh_listener,
    ):
        async with (
            service.beating(),
            open_platform(settings) as house,
            _git_over_ssh(settings, house, ssh_listener),
        ):
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
                ws="websockets-sansio",
                ws_max_size=FRAME_LIMIT,
                ws_ping_interval=None,  # a pong could not be told from what nobody reads yet; hostd.http.terminal beats
                ws_per_message_deflate=False,
            )
            server = uvicorn.Server(config)
            ending = asyncio.create_task(_end_canaries(server, house.platform))
            await server.serve([listener])
            await ending


async def _end_canaries(server: uvicorn.Server, platform: Platform) -> None:
    """As soon as hostd is asked to end: pushes that wait for a canary would hold it up, and not be told why."""
    while not server.should_exit:  # noqa: ASYNC110 (uvicorn knows no event of ours)
        await asyncio.sleep(0.5)
    await end_canaries(platform)


def _on_signals(do: Callable[[], object]) -> None:
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, do)


def administrator_token(settings: Settings) -> str:
    """Another token for the first administrator. Raises Unavailable if there is no hostd in the data directory."""
    if not settings.database.exists():
        raise Unavailable(f"there is no hostd in {settings.data}", hint="start it first: hostd serve")

    async def issue() -> str:
        db = Database.open(settings.database)
        try:
            return await db.call(houses.administrator_token, clock())
        finally:
            db.close()

    return asyncio.run(issue())


def rotate_key(settings: Settings) -> int:
    """A new key for all secrets; how many there are. Raises Unavailable, also while hostd runs."""
    if not settings.database.exists():
        raise Unavailable(f"there is no hostd in {settings.data}", hint="start it first: hostd serve")

    async def rotate() -> int:
        db = Database.open(settings.database)
        try:
            return await key_rotation.rotate_key(db, settings.data / "key")
        finally:
            db.close()

    with alone(settings.data):
        return asyncio.run(rotate())


def stop(settings: Settings, say: Callable[[str], None]) -> None:
    """End the hostd of this data directory, then all that outlives it: router, Instances, network."""
    if pid := holder(settings.data):
        say(f"stopping hostd (pid {pid})")
        os.kill(pid, signal.SIGTERM)
        while holder(settings.data):
            time.sleep(0.05)
    if settings.database.exists():
        asyncio.run(_remove(settings, say))


async def _remove(settings: Settings, say: Callable[[str], None]) -> None:
    with alone(settings.data):
        db = Database.open(settings.database)
        engine, router = await engine_of(settings, db), router_of(settings)
        say("stopping the router")
        await router.stop()
        await engine.open()
        say(f"stopping {len(await engine.instances())} instances")
        await engine.remove()
        for mount in mounts.below(settings.data):
            mounts.unmount(mount)
        db.close()


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
    return listening(settings.ssh_address, settings.ssh_port, "HOSTD_SSH_LISTEN")


def _introduce(settings: Settings, house: House, say: Callable[[str], None]) -> None:
    names = house.platform.names
    say(f"hostd: engine {house.report.name} isolates {', '.join(house.report.isolates)}")
    for lack in house.report.lacks:
        say(f"hostd: NOT isolated: {lack}")
    say(f"hostd: {house.report.sleep}")
    say(f"hostd: apps at {names.url_of(f'NAME.{names.base}')}, git and API at {names.public_url}")
    if settings.ssh_port:
        say(f"hostd: git over SSH at {names.ssh_remote('NAME')}")
    if house.token:
        say(f"hostd: first start; the administrator's token, shown only now: {house.token}")
        say(f"hostd: log in with: hostd login {names.public_url} --token {house.token}")
    say("hostd: ready")
    service.tell("READY=1")
