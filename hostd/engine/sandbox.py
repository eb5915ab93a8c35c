"""How a sandbox looks from inside, as arguments for bubblewrap and the launcher in front of it. Pure.

The machine's /usr is shown read-only, /etc is hostd's own (etc.py), and nothing else of the machine is there. The
options go through a descriptor (`--args`), because the environment among them holds secrets and `ps` shows arguments.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from hostd.errors import Invalid

USER = 1000  # uid and gid of the app as it sees itself
HOME = "/app"
PORT = 8080
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")

# The launcher runs as root and knows no tenant text but "$@". $1: open files; $2: largest file, in 512 bytes;
# $3: badness for the out-of-memory killer; $4..: cgroup files, up to a "--".
_LAUNCHER = """set -e
umask 022
ulimit -c 0; ulimit -n "$1"; ulimit -f "$2"; echo "$3" > /proc/self/oom_score_adj
shift 3
while [ "$1" != -- ]; do echo 0 > "$1"; shift; done
shift
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of this machine at `target` inside."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """All that the program inside can see: files, environment, where it starts."""

    mounts: tuple[Mount, ...]
    env: Mapping[str, str]
    directory: str
    etc: Path
    disk_mb: int
    network: bool = True


def options(view: View, top: Mapping[str, str | None]) -> list[str]:
    """The options of bwrap(1), without the descriptors. `top` as `top_directories` gives it."""
    size = str(view.disk_mb << 20)
    words = (
        "--unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup-try --disable-userns --new-session"
        f" --uid {USER} --gid {USER} --hostname app --cap-drop ALL --ro-bind /usr /usr"
    ).split()
    if not view.network:
        words.append("--unshare-net")
    for name, link in top.items():
        words += ["--symlink", link, f"/{name}"] if link else ["--ro-bind", f"/{name}", f"/{name}"]
    words += ["--ro-bind", str(view.etc), "/etc", "--proc", "/proc", "--dev", "/dev"]
    for target, mode in (("/dev/shm", "1777"), ("/tmp", "1777"), ("/run", "0755"), ("/var", "0755")):  # noqa: S108
        words += ["--perms", mode, "--size", size, "--tmpfs", target]
    words += ["--symlink", "../tmp", "/var/tmp"]  # noqa: S108
    if all(mount.target != HOME for mount in view.mounts):
        words += ["--perms", "0755", "--size", size, "--tmpfs", HOME]
    words += _mounts(view.mounts)
    words += ["--remount-ro", "/", "--clearenv"]
    for name, value in sorted(({"HOME": HOME} | dict(view.env)).items()):
        words += ["--setenv", name, value]
    return [*words, "--chdir", view.directory]


def check(command: Sequence[str], env: Mapping[str, str], directory: str) -> None:
    """Raises Invalid for what no program can be given: a NUL would end an option and begin another."""
    if not command or any("\0" in word for word in (*command, directory, *env, *env.values())):
        raise Invalid("a command or its environment is empty or has a NUL in it")
    if bad := [name for name in env if not name or "=" in name]:
        raise Invalid(f"{bad[0]!r} cannot be the name of an environment variable")


@cache
def top_directories(root: Path = Path("/")) -> dict[str, str | None]:
    """/bin, /lib and so on as this machine has them: where a link leads, or None for a directory of its own."""
    found: dict[str, str | None] = {}
    for name in _TOP:
        path = root / name
        if path.is_symlink():
            found[name] = str(path.readlink()).lstrip("/")
        elif path.is_dir():
            found[name] = None
    return found


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Open files bubblewrap inherits: the options, the filter, where it tells how things stand."""

    arguments: int
    seccomp: int
    status: int

    def all(self) -> tuple[int, ...]:
        """Their numbers."""
        return (self.arguments, self.seccomp, self.status)


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start it: in which cgroups and network namespace, as whom, with which limits of a process."""

    joins: tuple[str, ...]
    namespace: str
    owner: int
    open_files: int
    file_mb: int
    badness: int


def launcher(launch: Launch, descriptors: Descriptors, command: Sequence[str]) -> tuple[str, ...]:
    """The whole line: launcher, nsenter(1), which also drops root, bwrap(1), the app's command."""
    owner = str(launch.owner)
    return (
        *("/bin/sh", "-c", _LAUNCHER, "hostd-launch"),
        *(str(launch.open_files), str(launch.file_mb << 11), str(launch.badness)),
        *(*launch.joins, "--"),
        *("nsenter", f"--net=/run/netns/{launch.namespace}", "-S", owner, "-G", owner, "--"),
        *("bwrap", "--args", str(descriptors.arguments), "--seccomp", str(descriptors.seccomp)),
        *("--json-status-fd", str(descriptors.status), "--", *command),
    )


def encode(words: Iterable[str]) -> bytes:
    """As `--args` reads them. NUL cannot be in an argument; the caller has checked."""
    return b"".join(word.encode(errors="surrogateescape") + b"\0" for word in words)


def _mounts(mounts: Sequence[Mount]) -> list[str]:
    words: list[str] = []
    for mount in sorted(mounts, key=lambda mount: len(PurePosixPath(mount.target).parts)):
        words += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target]
    return words
