"""nginx as a process, and the watch that starts it again whenever it ends. Both outlive hostd and are known again."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from hostd import command
from hostd.command import Command
from hostd.errors import Unavailable
from hostd.router.config import MIME_TYPES, MODULES

_WATCH = Path(__file__).with_name("watch.sh")


def check_installed() -> None:
    """Raises Unavailable if nginx or its Lua module is not there."""
    if not any((Path(place) / "nginx").exists() for place in command.PATH.split(":")):
        raise Unavailable("nginx is not installed", hint="run: apt install nginx-light libnginx-mod-http-lua")
    for file in (MODULES / "ngx_http_lua_module.so", MODULES / "ndk_http_module.so", MIME_TYPES):
        if not file.exists():
            raise Unavailable(
                f"nginx lacks {file}", hint="run: apt install libnginx-mod-http-lua lua-cjson nginx-common"
            )


def running_pid(directory: Path) -> int | None:
    """The pid of the master that runs from `directory`, or None."""
    try:
        pid = int((directory / "nginx.pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    # nginx writes its title over its arguments: "nginx: master process nginx -p DIRECTORY ..."
    return pid if b"master process" in words and f" {directory}/ ".encode() in words + b" " else None


async def start(directory: Path, ports: list[int]) -> None:
    """Start the watch, and with it nginx. Raises Unavailable with what nginx said."""
    await _end_orphans(directory)
    for port in ports:
        _check_free(port)
    tested = await command.run(_nginx(directory, "-t", "-q"))
    if tested.status != 0:
        raise Unavailable(
            f"nginx did not start: {tested.output[-2000:].strip() or _complaint(directory)}",
            hint="run: hostd doctor",
        )
    watch(directory)
    await _until(lambda: running_pid(directory) is not None, f"nginx did not start: {_complaint(directory)}")


def watch(directory: Path) -> int:
    """The pid of the watch, which is started if there is none. Raises Unavailable if it cannot be noted."""
    if pid := _watching_pid(directory):
        return pid
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        pid = command.leave(Command(("/bin/sh", str(_WATCH), str(directory))), output=null)
    finally:
        os.close(null)
    try:
        (directory / "watch.pid").write_text(f"{pid}\n")
    except OSError as error:  # nobody would know it again, and start another
        os.kill(pid, signal.SIGKILL)
        raise Unavailable(f"the watch of nginx cannot be noted: {error.strerror}") from error
    return pid


def _watching_pid(directory: Path) -> int | None:
    try:
        pid = int((directory / "watch.pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if words[1:3] == [os.fsencode(_WATCH), os.fsencode(directory)] else None


def _complaint(directory: Path) -> str:
    try:
        return (directory / "error.log").read_text(errors="replace")[-2000:].strip()
    except OSError:
        return "it said nothing"


async def reload(directory: Path, pid: int) -> None:
    """Let a running nginx take its files anew; open connections stay. Raises Unavailable if they are not valid."""
    result = await command.run(_nginx(directory, "-t", "-q"))
    if result.status != 0:
        raise Unavailable(f"nginx refuses its configuration: {result.output[-2000:].strip()}")
    before = _workers(pid)
    os.kill(pid, signal.SIGHUP)
    # Until the old workers take no more connections, some requests would still follow the old files.
    await _until(lambda: all(map(_shutting_down, before)), "nginx did not take its new configuration")


async def stop(directory: Path) -> None:
    """End the watch, nginx and its workers at once."""
    if watching := _watching_pid(directory):
        os.kill(watching, signal.SIGKILL)
        await until_ended(watching)
    pid = running_pid(directory)
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        await until_ended(pid)


async def until_ended(pid: int) -> None:
    """Return when the process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _nginx(directory: Path, *options: str) -> Command:
    # nginx looks for its modules' Lua libraries on the built-in paths; nothing of the environment is needed.
    return Command(("nginx", "-p", f"{directory}/", "-c", "nginx.conf", "-e", "error.log", *options))


async def _end_orphans(directory: Path) -> None:
    """Workers outlive a master that was killed and hold its ports; they are still in its process group."""
    try:
        group = int((directory / "nginx.pid").read_text())
    except (OSError, ValueError):
        return
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(ProcessLookupError):
            title = " ".join(process.info["cmdline"] or ())
            if title.startswith("nginx: worker") and os.getpgid(process.pid) == group:
                os.kill(process.pid, signal.SIGKILL)
                await until_ended(process.pid)


def _workers(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children()


def _shutting_down(worker: psutil.Process) -> bool:
    try:
        return "shutting down" in " ".join(worker.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return True


def _check_free(port: int) -> None:
    """Raises Unavailable naming the port and who holds it; nginx itself would try for 2.5 s."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except PermissionError as error:
            raise Unavailable(f"port {port} needs root", hint="choose a port above 1023") from error
        except OSError as error:
            raise Unavailable(
                f"port {port} is taken by {_holder(port)}",
                hint="stop that program, or choose another port for hostd",
            ) from error


def _holder(port: int) -> str:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            with contextlib.suppress(psutil.NoSuchProcess):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another program"


async def _until(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 10
    while not true():
        if time.monotonic() > deadline:
            raise Unavailable(otherwise, hint="run: hostd doctor")
        await asyncio.sleep(0.01)
