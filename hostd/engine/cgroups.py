"""What bounds and counts a sandbox: a cgroup of its own, in version 1 (a tree per controller) or version 2 (one tree).

All paths hang below one directory per installation, so nothing of another hostd is ever touched.
"""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hostd.errors import Unavailable
from hostd.model.instance import Limits

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("memory", "pids", "cpu")
FREEZER = "freezer"  # a controller of version 1 only; version 2 can always freeze
_PERIOD = 100_000  # microseconds, the kernel's default for a CPU quota
_KILL_DEADLINE = 10.0  # seconds; SIGKILL takes milliseconds unless a process hangs in the kernel


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Where this installation's cgroups are: one directory for version 2, one per controller for version 1."""

    version: int
    parents: tuple[Path, ...]

    def of(self, name: str) -> tuple[Path, ...]:
        """The directories of the sandbox `name`."""
        return tuple(parent / name for parent in self.parents)


def layout(installation: str, root: Path = ROOT) -> Cgroups:
    """Version 2 if its tree has the controllers, else version 1. Raises Unavailable if neither has them."""
    controllers = root / "cgroup.controllers"
    if controllers.exists() and set(CONTROLLERS) <= set(controllers.read_text().split()):
        return Cgroups(2, (root / f"hostd-{installation}",))
    if all((root / name / "cgroup.procs").exists() for name in CONTROLLERS):
        names = [*CONTROLLERS, *([FREEZER] if (root / FREEZER / "cgroup.procs").exists() else [])]
        return Cgroups(1, tuple(root / name / f"hostd-{installation}" for name in names))
    raise Unavailable(
        "this machine has no cgroup controllers for memory, pids and cpu",
        hint="mount them: systemd does; in a container, run it with --privileged --cgroupns=host",
    )


def prepare(cgroups: Cgroups) -> None:
    """Make the installation's own directories. Raises OSError."""
    if cgroups.version == 2:
        _delegate(cgroups.parents[0].parent)
    for parent in cgroups.parents:
        parent.mkdir(exist_ok=True)
    if cgroups.version == 2:
        _delegate(cgroups.parents[0])


def create(cgroups: Cgroups, name: str) -> None:
    """Make the cgroup `name`, without limits yet. Raises OSError."""
    for path in cgroups.of(name):
        path.mkdir(exist_ok=True)


def limit(cgroups: Cgroups, name: str, limits: Limits, *, weight: int) -> None:
    """Set what `name` may use. `weight` is its share of a busy CPU, 100 the usual. Raises OSError."""
    for path, value in settings(cgroups, name, limits, weight):
        if path.exists():  # swap accounting is not in every kernel
            path.write_text(value)


def settings(cgroups: Cgroups, name: str, limits: Limits, weight: int) -> list[tuple[Path, str]]:
    """The files to write and what, in order."""
    memory = str(limits.memory_mb << 20)
    quota = int(limits.cpus * _PERIOD) if limits.cpus else 0
    if cgroups.version == 2:
        (path,) = cgroups.of(name)
        return [
            (path / "memory.max", memory),
            (path / "memory.swap.max", "0"),
            (path / "pids.max", str(limits.processes)),
            (path / "cpu.max", f"{quota or 'max'} {_PERIOD}"),
            (path / "cpu.weight", str(weight)),
        ]
    of_memory, of_pids, of_cpu = cgroups.of(name)[:3]
    return [
        (of_memory / "memory.limit_in_bytes", memory),
        (of_memory / "memory.memsw.limit_in_bytes", memory),
        (of_pids / "pids.max", str(limits.processes)),
        (of_cpu / "cpu.cfs_quota_us", str(quota or -1)),
        (of_cpu / "cpu.shares", str(weight * 1024 // 100)),
    ]


def joins(cgroups: Cgroups, name: str) -> tuple[str, ...]:
    """The files to which a process of one thread writes 0 to be in `name`.

    Version 1 moves one thread without a lock, where a whole process waits for every CPU (10 ms and more).
    """
    file = "cgroup.procs" if cgroups.version == 2 else "tasks"
    return tuple(str(path / file) for path in cgroups.of(name))


def processes(cgroups: Cgroups, name: str) -> list[int]:
    """The ids of all processes in `name`; none if it is gone."""
    path = cgroups.of(name)[0 if cgroups.version == 2 else CONTROLLERS.index("pids")]
    try:
        return [int(line) for line in (path / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def kill(cgroups: Cgroups, name: str, *, closed: bool = False) -> bool:
    """SIGKILL for everything in `name`, whose sandbox dies with its first process; True if nobody was there.

    `closed`: nothing can be born meanwhile, for what was faster than the signal.
    """
    if closed:
        path = cgroups.of(name)[0 if cgroups.version == 2 else CONTROLLERS.index("pids")]
        with contextlib.suppress(OSError):
            (path / "pids.max").write_text("0")
    left = processes(cgroups, name)
    for process in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    if left and is_frozen(cgroups, name):  # in version 1 what is held does not even die
        hold(cgroups, name, frozen=False)
    return not left


def killing() -> Iterator[float]:
    """Seconds to wait between two rounds of `kill`, growing; ends when it has taken too long."""
    pause, end = 0.001, time.monotonic() + _KILL_DEADLINE
    while time.monotonic() < end:
        yield pause
        pause = min(pause * 2, 0.1)


def freezing(cgroups: Cgroups, name: str, *, frozen: bool) -> tuple[Path, str]:
    """The file to write and what, to hold all of `name` or to let it go on. Raises Unavailable where nothing can."""
    path = cgroups.of(name)[-1]
    if cgroups.version == 2:
        return path / "cgroup.freeze", "1" if frozen else "0"
    if path.parent.parent.name != FREEZER:
        raise Unavailable("this machine has no freezer", hint="mount the freezer cgroup")
    return path / "freezer.state", "FROZEN" if frozen else "THAWED"


def hold(cgroups: Cgroups, name: str, *, frozen: bool) -> None:
    """Hold all of `name`, or let it go on; nothing if it is gone. Raises Unavailable if it cannot be held."""
    file, value = freezing(cgroups, name, frozen=frozen)
    try:
        file.write_text(value)
    except FileNotFoundError:
        return
    except OSError as error:
        raise Unavailable(f"sandbox {name} cannot be frozen: {error.strerror}") from error


def is_frozen(cgroups: Cgroups, name: str) -> bool:
    """Whether `name` is held, or about to be."""
    try:
        file, value = freezing(cgroups, name, frozen=False)
        return file.read_text().strip() != value
    except (OSError, Unavailable):
        return False


def remove(cgroups: Cgroups, name: str) -> None:
    """Remove the empty cgroup `name`; nothing if it is gone."""
    for path in cgroups.of(name):
        with contextlib.suppress(FileNotFoundError):
            path.rmdir()


def dissolve(cgroups: Cgroups) -> None:
    """Remove the installation's own directories once they are empty."""
    for parent in cgroups.parents:
        with contextlib.suppress(OSError):
            parent.rmdir()


def names(cgroups: Cgroups) -> set[str]:
    """Every cgroup there is below the installation's own."""
    found: set[str] = set()
    for parent in cgroups.parents:
        if parent.is_dir():
            found |= {path.name for path in parent.iterdir() if path.is_dir()}
    return found


def shown(cgroups: Cgroups, name: str) -> list[tuple[Path, str]]:
    """Directories of `name` and where a program inside expects them, whose cgroup namespace begins there."""
    paths = cgroups.of(name)
    if cgroups.version == 2:
        return [(paths[0], str(ROOT))]
    shown = [path for path in paths if path.parent.parent.name not in ("pids", FREEZER)]
    return [(path, str(ROOT / path.parent.parent.name)) for path in shown]


def limit_hit(cgroups: Cgroups, name: str) -> str:
    """The limit that most likely ended what failed in `name`: "memory", "processes" or ""."""
    if memory_kills(cgroups, name):
        return "memory"
    return "processes" if refused_processes(cgroups, name) else ""


def memory_kills(cgroups: Cgroups, name: str) -> int:
    """How many processes of `name` the kernel has killed for memory."""
    file = "memory.events" if cgroups.version == 2 else "memory.oom_control"
    return _counter(cgroups.of(name)[0] / file, "oom_kill")


def refused_processes(cgroups: Cgroups, name: str) -> int:
    """How often a process of `name` was not allowed to have a child."""
    index = 0 if cgroups.version == 2 else CONTROLLERS.index("pids")
    return _counter(cgroups.of(name)[index] / "pids.events", "max")


def _counter(path: Path, key: str) -> int:
    try:
        pairs = (line.split() for line in path.read_text().splitlines())
        return next((int(value) for name, value in pairs if name == key), 0)
    except OSError:
        return 0


def _delegate(path: Path) -> None:
    """Let the directories in `path` have the controllers."""
    control = path / "cgroup.subtree_control"
    if control.exists() and set(CONTROLLERS) <= set(control.read_text().split()):
        return
    wanted = " ".join(f"+{name}" for name in CONTROLLERS)
    try:
        control.write_text(wanted)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _make_room(path)
        control.write_text(wanted)


def _make_room(root: Path) -> None:
    """Move the processes of `root` one level down: version 2 wants them in leaves only (cgroup-v2.rst)."""
    leaf = root / "hostd-main"
    leaf.mkdir(exist_ok=True)
    for process in (root / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):  # a kernel thread, or gone
            (leaf / "cgroup.procs").write_text(process)
