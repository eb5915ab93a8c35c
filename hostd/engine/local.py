"""The engine for any one Linux machine: a sandbox per Instance from bubblewrap, cgroups, network namespaces, nftables.

hostd runs as root, apps never do. Instances and their output do not depend on hostd: they outlive it and are adopted.
"""

import asyncio
import contextlib
import os
import re
import time
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hostd import command, mounts
from hostd.command import Command
from hostd.engine import cgroups as groups
from hostd.engine import etc, machine, processes, records, sandbox, seccomp
from hostd.engine.base import Report, Task
from hostd.engine.cgroups import Cgroups
from hostd.engine.network import Network
from hostd.engine.output import Outputs
from hostd.engine.records import Record
from hostd.engine.sandbox import Descriptors, Launch, Mount, View
from hostd.engine.slots import Slot, Slots
from hostd.errors import Invalid, Unavailable
from hostd.model.app import owner_of
from hostd.model.image import Image
from hostd.model.instance import Endpoint, Exit, Instance, InstanceSpec, Limits
from hostd.model.log import LogLine

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}")
_KILLED = 137  # 128 + SIGKILL
_REMEMBERED = 1000  # ends of Instances
INSTANCE_BADNESS, TASK_BADNESS = 500, 800  # for the out-of-memory killer: builds go first, hostd last
INSTANCE_WEIGHT, TASK_WEIGHT = 100, 50  # shares of a busy CPU


@dataclass(eq=False, slots=True)
class _Running:
    record: Record
    slot: Slot
    pid: int
    pidfd: int
    exit: asyncio.Future[Exit]
    watch: asyncio.Task[None] | None = field(default=None)


class LocalEngine:
    """Runs Instances on this machine. `directory` and all above it can be traversed by everyone (0711).

    `installation`, 8 hex digits, names everything it makes on the machine; `logs` is where output files go.
    """

    def __init__(self, directory: Path, installation: str, logs: Path) -> None:
        if not re.fullmatch(r"[0-9a-f]{8}", installation):
            raise Invalid(f"an installation is 8 hex digits, not {installation!r}")
        self._directory = directory
        self._installation = installation
        self._instances = directory / "instances"
        self._etc = directory / "etc"
        self._top = sandbox.top_directories()
        self._outputs = Outputs(logs)
        self._running: dict[str, _Running] = {}
        self._ended: dict[str, Exit] = {}
        self._cgroups: Cgroups
        self._network: Network
        self._slots: Slots

    async def open(self) -> Report:
        """Make the machine ready, adopt what runs, remove what is dead. Raises Unavailable."""
        await machine.check()
        seccomp.program()
        self._directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._cgroups = machine.make_cgroups(self._installation)
        self._network, lacks = await machine.make_network(self._directory, self._installation)
        etc.prepare(self._etc, self._network.resolvers)
        self._slots = Slots(self._directory, self._network, self._cgroups)
        self._adopt()
        self._outputs.open(set(self._running))
        await self._slots.open(running.slot.number for running in self._running.values())
        await self._try()
        return Report("local", machine.ISOLATES, (*lacks, *_LACKS))

    async def close(self) -> None:
        """Let go. Instances go on running; the next `open` finds them."""
        for running in self._running.values():
            assert running.watch
            running.watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running.watch
            running.exit.cancel()
            os.close(running.pidfd)
        self._running.clear()
        await self._slots.close()
        self._outputs.close()

    async def remove(self) -> None:
        """Stop everything and remove all that this installation made on the machine, then close."""
        await asyncio.gather(*(self.stop(instance, 0.0) for instance in await self.instances()))
        await self.close()
        await machine.remove_network(self._network)
        groups.dissolve(self._cgroups)

    async def start(self, spec: InstanceSpec) -> Instance:
        """Start one; returns once its process exists. Raises Invalid, Unavailable."""
        _check(spec)
        slot = await self._slots.take()
        instance = Instance(spec, Endpoint(slot.address, sandbox.PORT), time.time())
        record = Record(instance, slot.number, records.boot_id())
        try:
            running = await self._launch(record, slot)
        except BaseException:
            await asyncio.shield(self._discard(slot, spec.id))
            raise
        self._watch(running)
        return instance

    async def wait(self, instance: Instance) -> Exit:
        """Until it has ended. One that this engine never knew counts as killed."""
        if running := self._running.get(instance.id):
            return await asyncio.shield(running.exit)
        return self._ended.get(instance.id, Exit(_KILLED))

    async def stop(self, instance: Instance, grace: float) -> bool:
        """SIGTERM to all its processes, SIGKILL after `grace` seconds; then nothing of it is left."""
        running = self._running.get(instance.id)
        if running is None:
            return True
        assert running.watch
        in_time = True
        try:
            async with asyncio.timeout(grace):
                await self._terminate(running)
                await asyncio.shield(running.exit)
        except TimeoutError:
            in_time = running.exit.done()
            await self._slots.empty(running.slot)
        await asyncio.shield(running.watch)
        return in_time

    async def run(self, task: Task, on_line: Callable[[str], None]) -> Exit:
        """Run a task to its end. Exit.limit: "seconds", "memory", "output" or "processes"."""
        slot = await self._slots.take()
        try:
            return await self._run_in(slot, task, on_line)
        finally:
            await asyncio.shield(self._discard(slot))

    async def instances(self) -> Sequence[Instance]:
        """All that run now, also those an earlier hostd started."""
        return [item.record.instance for item in self._running.values() if not item.exit.done()]

    def output(self) -> AsyncIterator[LogLine]:
        """Lines of all Instances, for one reader."""
        return self._outputs.lines()

    def tail(self, instance_id: str, lines: int) -> Sequence[str]:
        """The last lines an Instance printed, until some minutes after its end."""
        return self._outputs.tail(instance_id, lines) if _ID.fullmatch(instance_id) else []

    def listening(self, instance: Instance) -> Sequence[str]:
        """`address:port` of every TCP socket that listens inside."""
        running = self._running.get(instance.id)
        return processes.listeners(running.pid) if running else []

    async def _try(self) -> None:
        """Start one sandbox the usual way: the only check that no kernel, distribution or container can fool."""
        said: list[str] = []
        result = await self.run(Task(0, ("/bin/true",), {}, directory="/"), said.append)
        if result.status != 0:
            raise Unavailable(
                f"bubblewrap cannot make a sandbox here: {' '.join(said)}",
                hint="unprivileged user namespaces must be allowed: "
                "sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0",
            )

    async def _launch(self, record: Record, slot: Slot) -> _Running:
        spec = record.instance.spec
        place = self._instances / spec.id
        records.write(self._instances, record)
        groups.limit(self._cgroups, slot.name, spec.limits, weight=INSTANCE_WEIGHT)
        view = View(
            mounts=tuple(_show(spec.image, slot.directory, spec.tenant, spec.limits.disk_mb)),
            env={**spec.env, "PORT": str(sandbox.PORT)},
            directory=spec.directory,
            etc=self._etc,
            disk_mb=spec.limits.disk_mb,
        )
        launch = self._launch_of(
            sandbox.LEAVE, slot, spec.tenant, spec.limits, INSTANCE_BADNESS, place / "pid"
        )
        output = self._outputs.create(spec.id, spec.environment, spec.process)
        try:
            launcher = await self._spawn(view, launch, spec.command, place / "status", output)
        finally:
            os.close(output)
        status = await launcher.wait()
        pid = records.read_pid(self._instances, spec.id)
        if status != 0 or not pid:
            said = " ".join(self._outputs.tail(spec.id, 3))
            raise Unavailable(
                f"this machine could not start {spec.id}: {said or status}", hint="run: hostd doctor"
            )
        return _Running(record, slot, pid, os.pidfd_open(pid), asyncio.get_running_loop().create_future())

    def _launch_of(
        self, script: str, slot: Slot, tenant: int, limits: Limits, badness: int, pid_file: Path
    ) -> Launch:
        return Launch(
            script=script,
            pid_file=pid_file,
            joins=groups.joins(self._cgroups, slot.name),
            namespace=slot.namespace,
            owner=owner_of(tenant),
            limits=limits,
            badness=badness,
        )

    async def _spawn(
        self, view: View, launch: Launch, argv: Sequence[str], status: Path, output: int
    ) -> asyncio.subprocess.Process:
        options = sandbox.encode(sandbox.options(view, self._top))
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with _memory_file(options) as arguments, _memory_file(seccomp.program()) as filter_program:
            told = os.open(status, flags, 0o600)
            try:
                descriptors = Descriptors(arguments, filter_program, told)
                return await command.spawn(
                    Command(sandbox.launcher(launch, descriptors, argv)),
                    stdin=DEVNULL,
                    stdout=output,
                    stderr=STDOUT,
                    pass_fds=descriptors.all(),
                )
            finally:
                os.close(told)

    # what follows watches and ends

    def _watch(self, running: _Running) -> None:
        self._running[running.record.instance.id] = running
        running.watch = asyncio.create_task(self._see_off(running))

    async def _see_off(self, running: _Running) -> None:
        await processes.ended(running.pidfd)
        instance = running.record.instance
        exit_ = self._exit_of(instance.id, running.slot)
        self._remember(instance.id, exit_)
        await self._discard(running.slot, instance.id)
        self._outputs.end(instance.id)
        running.exit.set_result(exit_)
        del self._running[instance.id]
        os.close(running.pidfd)

    def _exit_of(self, instance_id: str, slot: Slot) -> Exit:
        facts = records.read_status(self._instances / instance_id / "status")
        status = facts.get("exit-code", _KILLED if "child-pid" in facts else 1)
        return Exit(status, self._limit_hit(slot) if status else "")

    def _limit_hit(self, slot: Slot) -> str:
        if groups.memory_kills(self._cgroups, slot.name):
            return "memory"
        return "processes" if groups.refused_processes(self._cgroups, slot.name) else ""

    def _remember(self, instance_id: str, exit_: Exit) -> None:
        self._ended[instance_id] = exit_
        while len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]

    async def _discard(self, slot: Slot, instance_id: str = "") -> None:
        await self._slots.empty(slot)
        self._slots.give_back(slot)
        if instance_id:
            records.remove(self._instances, instance_id)

    async def _terminate(self, running: _Running) -> None:
        """SIGTERM to all but bubblewrap's two: its monitor would leave the app behind, its reaper ignores it."""
        status = self._instances / running.record.instance.id / "status"
        while not running.exit.done():
            spared = {running.pid, records.read_status(status).get("child-pid", 0)}
            told = [pid for pid in groups.processes(self._cgroups, running.slot.name) if pid not in spared]
            for pid in told:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 15)
            if told:
                return
            await asyncio.sleep(0.005)  # it is only just starting

    def _adopt(self) -> None:
        boot = records.boot_id()
        for record in records.read_all(self._instances):
            instance = record.instance
            slot = self._slots.at(record.slot)
            pid = records.read_pid(self._instances, instance.id) if record.boot == boot else 0
            pidfd = processes.alive_in(pid, f"/{self._cgroups.parents[0].name}/{slot.name}") if pid else None
            if pidfd is not None:
                future: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
                self._watch(_Running(record, slot, pid, pidfd, future))
            else:
                self._remember(instance.id, self._exit_of(instance.id, slot))
                records.remove(self._instances, instance.id)

    # what follows runs tasks

    async def _run_in(self, slot: Slot, task: Task, on_line: Callable[[str], None]) -> Exit:
        groups.limit(self._cgroups, slot.name, task.limits, weight=TASK_WEIGHT)
        shown = _show(task.image, slot.directory, task.tenant, task.limits.disk_mb) if task.image else []
        bound = [Mount(bind.source, bind.target, bind.writable) for bind in task.binds]
        view = View((*shown, *bound), task.env, task.directory, self._etc, task.limits.disk_mb, task.network)
        launch = self._launch_of(
            sandbox.STAY, slot, task.tenant, task.limits, TASK_BADNESS, Path("/dev/null")
        )
        reader, writer = os.pipe()
        try:
            process = await self._spawn(view, launch, task.command, slot.directory / "status", writer)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        limit = await self._attend(slot, task, process, reader, on_line)
        status = process.returncode or 0
        status = 128 - status if status < 0 else status
        return Exit(_KILLED, limit) if limit else Exit(status, self._limit_hit(slot) if status else "")

    async def _attend(
        self,
        slot: Slot,
        task: Task,
        process: asyncio.subprocess.Process,
        reader: int,
        on_line: Callable[[str], None],
    ) -> str:
        """Pass on the output until the end; the limit that was hit, if one was."""
        meter = _Meter(on_line, task.limits.output_mb << 20)
        stream, transport = await _open_stream(reader)
        reading = asyncio.create_task(command.each_line(stream, meter.give))
        ended, full = asyncio.create_task(process.wait()), asyncio.create_task(meter.full.wait())
        limit = ""
        try:
            async with asyncio.timeout(task.limits.seconds or None):
                await asyncio.wait((ended, full), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            limit = "seconds"
        finally:
            full.cancel()
            await asyncio.shield(self._slots.empty(slot))
            await asyncio.shield(asyncio.gather(ended, reading))
            transport.close()
        return "output" if meter.full.is_set() else limit


_LACKS = ("the kernel is shared: right for people who trust each other, no wall against hostile tenants",)


class _Meter:
    """Passes lines on until `limit` bytes (0: no limit) have come."""

    def __init__(self, on_line: Callable[[str], None], limit: int) -> None:
        self._on_line = on_line
        self._limit = limit
        self._count = 0
        self.full = asyncio.Event()

    def give(self, line: str) -> None:
        self._count += len(line) + 1
        if self._limit and self._count > self._limit:
            self.full.set()
        if not self.full.is_set():
            self._on_line(line)


def _check(spec: InstanceSpec) -> None:
    if not _ID.fullmatch(spec.id):
        raise Invalid(f"{spec.id!r} cannot be the id of an Instance")
    words = (*spec.command, spec.directory, *spec.env, *spec.env.values())
    if not spec.command or any("\0" in word for word in words) or any("=" in name for name in spec.env):
        raise Invalid(f"{spec.id} has no command, or a NUL or = where none can be")


def _show(image: Image, directory: Path, tenant: int, disk_mb: int) -> Iterator[Mount]:
    """Mount what needs merging below `directory`; what is to be shown where. /app can be written, until the end."""
    for number, tree in enumerate(image.trees):
        lowers = [Path(lower) for lower in tree.directories]
        if tree.target == sandbox.HOME:
            yield Mount(_writable(directory, lowers, tenant, disk_mb), tree.target, writable=True)
        elif len(lowers) == 1:
            yield Mount(lowers[0], tree.target)
        else:
            merged = directory / f"tree-{number}"
            mounts.overlay(merged, lowers)
            yield Mount(merged, tree.target)


def _writable(directory: Path, lowers: Sequence[Path], tenant: int, disk_mb: int) -> Path:
    disk, app, owner = directory / "disk", directory / "app", owner_of(tenant)
    mounts.tmpfs(disk, size_mb=disk_mb, mode=0o711)
    upper, work = disk / "upper", disk / "work"
    for path in (upper, work):
        path.mkdir(mode=0o755)
        os.chown(path, owner, owner)
    mounts.overlay(app, lowers, upper, work)
    return app


@contextlib.contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("hostd", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


async def _open_stream(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    loop = asyncio.get_running_loop()
    stream = asyncio.StreamReader()
    file = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), file)
    return stream, transport
