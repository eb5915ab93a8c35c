"""What hostd needs of its machine, looked at one by one. Works without a server and changes nothing.

To add a check: one function that returns a Check, one line in `examine`.
"""

import errno
import os
import re
import shutil
import socket
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from hostd.command import PATH, Command, run
from hostd.errors import HostdError
from hostd.git.config import VERSION as GIT_VERSION
from hostd.model.certificate import lifetime

GIB = 1024**3
DISK_WANTED = 2 * GIB
NOBODY = "65534"
LUA_MODULES = (
    Path("/usr/lib/nginx/modules/ngx_http_lua_module.so"),
    Path("/usr/share/nginx/modules/ngx_http_lua_module.so"),
    Path("/usr/lib64/nginx/modules/ngx_http_lua_module.so"),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing hostd needs: what was found, and where it is not right, the command that mends it."""

    name: str
    ok: bool
    found: str
    fix: str = ""


async def examine(
    data: Path, ports: Mapping[str, tuple[str, int]], now: datetime, hook: Path | None = None
) -> Sequence[Check]:
    """All checks of this machine. `ports` are the addresses hostd wants to listen on, by the name of their setting."""
    return [
        root(),
        await version("git", GIT_VERSION, ("git", "--version"), "git"),
        await version("nginx", (1, 18), ("nginx", "-v"), "nginx"),
        lua(),
        await version("bwrap", (0, 8), ("bwrap", "--version"), "bubblewrap"),
        await user_namespaces(),
        program("nft", "nftables"),
        program("ip", "iproute2"),
        program("setpriv", "util-linux"),
        cgroups(Path("/sys/fs/cgroup")),
        overlay(Path("/proc/filesystems")),
        disk(data),
        swap(),
        *modes(data),
        *certificates(data / "router/private", now),
        *acme_hook(hook),
        *(port(name, address, number, data) for name, (address, number) in ports.items()),
    ]


def root() -> Check:
    """Namespaces, mounts and uids of apps need root."""
    return Check("root", os.geteuid() == 0, f"uid {os.geteuid()}", "sudo hostd serve")


def program(name: str, package: str) -> Check:
    """A program is installed."""
    path = shutil.which(name, path=PATH)
    return Check(name, path is not None, path or "not installed", _install(package))


async def version(name: str, wanted: tuple[int, int], argv: tuple[str, ...], package: str) -> Check:
    """A program is installed and says that it is at least `wanted`."""
    need = ".".join(map(str, wanted))
    said = await _output(Command(argv))
    numbers = re.search(r"(\d+)\.(\d+)(\.\d+)*", said or "")
    if not numbers:
        return Check(name, False, f"not installed, {need} or later is needed", _install(package))
    enough = (int(numbers[1]), int(numbers[2])) >= wanted
    return Check(name, enough, numbers[0] if enough else f"{numbers[0]}, {need} is needed", _install(package))


def lua(modules: Sequence[Path] = LUA_MODULES) -> Check:
    """nginx can load its Lua module."""
    found = next((path for path in modules if path.exists()), None)
    return Check(
        "nginx lua module",
        found is not None,
        str(found) if found else "not installed",
        _install("libnginx-mod-http-lua lua-cjson lua-resty-core"),
    )


async def user_namespaces() -> Check:
    """Somebody without rights can make a sandbox, as apps are started."""
    who = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups") if os.geteuid() == 0 else ()
    sandbox = (
        "bwrap",
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--cap-drop",
        "ALL",
    )
    command = Command((*who, *sandbox, "--ro-bind", "/", "/", "--proc", "/proc", "--", "true"))
    try:
        result = await run(command)
    except HostdError as error:
        return Check("user namespaces", False, error.message, _install("bubblewrap"))
    why = result.output.strip().splitlines()[-1:] or [f"status {result.status}"]
    return Check(
        "user namespaces",
        result.status == 0,
        "a sandbox without rights starts" if result.status == 0 else why[0][:200],
        "sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000",
    )


def cgroups(mounted: Path) -> Check:
    """Memory, processes and CPU can be limited: version 2, or version 1 controllers."""
    unified = mounted / "cgroup.controllers"
    if unified.exists():
        there, kind = set(unified.read_text().split()), "version 2"
    else:
        there, kind = {path.name for path in mounted.iterdir()} if mounted.exists() else set(), "version 1"
    missing = {"memory", "pids", "cpu"} - there
    writable = os.access(mounted, os.W_OK) or os.access(mounted / "memory", os.W_OK)
    if missing:
        found = f"{kind} without {', '.join(sorted(missing))}"
    else:
        found = kind if writable else f"{kind}, but not writable"
    return Check(
        "cgroups",
        not missing and writable,
        found,
        "boot the machine with cgroup_enable=memory, and run hostd as root with /sys/fs/cgroup writable",
    )


def overlay(filesystems: Path) -> Check:
    """The kernel can merge directories."""
    there = "overlay" in filesystems.read_text().split()
    return Check("overlayfs", there, "in the kernel" if there else "not in the kernel", "modprobe overlay")


def disk(data: Path) -> Check:
    """There is room for builds and releases."""
    place = next(path for path in (data, *data.parents) if path.exists())
    free = shutil.disk_usage(place).free
    return Check(
        "free disk",
        free >= DISK_WANTED,
        f"{free / GIB:.1f} GiB at {place}, {DISK_WANTED // GIB} GiB are wanted",
        f"free some space on the file system of {place}, or set HOSTD_DATA to another",
    )


def swap() -> Check:
    """Where the memory of sleeping apps can go. hostd runs without."""
    size = psutil.swap_memory().total >> 20
    found = f"{size} MB" if size else "none: sleeping apps keep their memory until they are stopped"
    return Check("swap", True, found, "set HOSTD_ZRAM_MB to 2048")


def modes(data: Path) -> Sequence[Check]:
    """Nobody else can read what is secret or put files where hostd looks for its own."""
    wanted = {"key": 0o600, "hostd.db": 0o600, ".": 0o711}
    return [
        _mode(data / name, most) for name, most in wanted.items() if data.exists() and (data / name).exists()
    ]


def certificates(private: Path, now: datetime) -> Sequence[Check]:
    """Every certificate that the router shows is valid, and was renewed in time."""
    return [_valid(path, now) for path in sorted((private / "certificates").glob("*.crt"))]


def acme_hook(path: Path | None) -> Sequence[Check]:
    """The program that sets DNS records for wildcards can be run."""
    if path is None:
        return []
    there = os.access(path, os.X_OK)
    found = str(path) if there else f"{path} is not a program that can be run"
    return [Check("ACME DNS hook", there, found, f"chmod 755 {path}, or set HOSTD_ACME_DNS_HOOK to another")]


def port(name: str, address: str, number: int, data: Path) -> Check:
    """hostd can listen there, or does so already."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, number))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return Check(f"port {number}", False, os.strerror(error.errno or 0), f"set {name} to another")
            return _taken(name, number, data)
    return Check(f"port {number}", True, "free")


def _taken(name: str, number: int, data: Path) -> Check:
    holder = next(
        (
            item.pid
            for item in psutil.net_connections("tcp")
            if item.status == psutil.CONN_LISTEN and item.laddr and item.laddr.port == number
        ),
        None,
    )
    if holder is None:
        return Check(f"port {number}", False, "in use", f"set {name} to another")
    process = psutil.Process(holder)
    family = (process, *process.parents())  # of nginx's processes, the first one names the directory
    words = [word for each in family for word in each.cmdline()]
    ours = any(Path(word).name == "hostd" or str(data) in word for word in words)
    found = f"in use by {'hostd' if ours else process.name()} (pid {holder})"
    return Check(f"port {number}", ours, found, f"set {name} to another, or stop {process.name()}")


def _valid(path: Path, now: datetime) -> Check:
    name = f"certificate {path.stem}"
    fix = f"see: hostd certs list; or put a new pair at {path} and {path.stem}.key, and restart hostd"
    try:
        not_before, not_after = lifetime(path.read_text())
    except ValueError:
        return Check(name, False, "cannot be read: it has to be PEM", fix)
    verb = "expired" if not_after <= now else "expires"
    late = now > not_after - (not_after - not_before) / 10  # by then it should have been renewed
    return Check(name, not late, f"{verb} {not_after:%Y-%m-%d %H:%M} UTC", fix)


def _mode(path: Path, most: int) -> Check:
    mode = stat.S_IMODE(path.stat().st_mode)
    return Check(f"mode of {path}", mode & ~most == 0, f"{mode:04o}", f"chmod {most:o} {path}")


def _install(packages: str) -> str:
    return f"apt-get install {packages}"


async def _output(command: Command) -> str | None:
    try:
        return (await run(command)).output
    except HostdError:
        return None
