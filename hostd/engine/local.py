"""The engine for any one Linux machine: a sandbox per Instance from bubblewrap, cgroups, network namespaces, nftables.

hostd runs as root, apps never do. Instances and their output do not depend on hostd: they outlive it and are adopted.
"""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hostd import command
from hostd.engine import cgroups as groups
from hostd.engine import etc, machine, memory, processes, records, sandbox, seccomp, zram
from hostd.engine.base import Report, Task
from hostd.engine.cgroups import Cgroups
from hostd.engine.conversation import Conversation
from hostd.engine.launch import launch_of, leave, own_limits, show, spawn
from hostd.engine.network import Network
from hostd.engine.output import Outputs
from hostd.engine.records import Record
from hostd.engine.sandbox import Mount, View
from hostd.engine.slots import Slot, Slots
from hostd.engine.tasks import Attendant, Listener
from hostd.errors import Invalid, Unavailable
from hostd.model.app import owner_of
from hostd.model.instance import Endpoint, Exit, Instance, InstanceSpec
from hostd.model.log import LogLine
from hostd.model.task import Console

# bubblewrap keeps what it starts away from the terminal it was given itself (--new-session); this takes it again, as
# the terminal of this task alone (setsid(1), util-linux).
TAKE_TERMINAL = ("/usr/bin/setsid", "--ctty", "--")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}")
_KILLED = 137  # 128 + SIGKILL
_LOOK_AGAIN = 0.1  # seconds
_REMEMBERED = 1000  # ends of Instances
INSTANCE_WEIGHT, TASK_WEIGHT = 100, 50  # shares of a busy CPU
_LACKS = ("the kernel is shared: right for people who trust each other, no wall against hostile tenants",)


@dataclass(eq=False, slots=True)
class _Running:
    record: Record
    slot: Slot
    pid: int
    pidfd: int
    exit: asyncio.Future[Exit]
    watch: asyncio.Task[None] | None = None
    told: int = 0  # the signal hostd sent to end it


class LocalEngine:
    """Runs Instances on this machine. `directory` and all above it can be traversed by everyone (0711).

    `installation`, 8 hex digits, names everything it makes on the machine; `logs` is where output files go;
    `zram_mb` is how much compressed swap it makes for frozen Instances.
    """

    def __init__(self, directory: Path, installation: str, logs: Path, zram_mb: int = 0) -> None:
        if not re.fullmatch(r"[0-9a-f]{8}", installation):
            raise Invalid(f"an installation is 8 hex digits, not {installation!r}")
        self._directory = directory
        self._installation = installation
        self._instances = directory / "instances"
        self._etc = directory / "etc"
        self._outputs = Outputs(logs)
        self._zram, self._zram_mb = directory / "zram", zram_mb
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
        sleep = await machine.make_swap(self._zram, self._zram_mb)
        return Report("local", machine.ISOLATES, (*lacks, *_LACKS), sleep)

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
        await zram.remove(self._zram)
        groups.dissolve(self._cgroups)

    async def start(self, spec: InstanceSpec) -> Instance:
        """Start one; returns once its process exists. Raises Invalid, Unavailable."""
        sandbox.check(spec.command, spec.env, spec.directory)
        if not _ID.fullmatch(spec.id):
            raise Invalid(f"{spec.id!r} cannot be the id of an Instance")
        slot = await self._slots.take()
        instance = Instance(spec, Endpoint(slot.address, sandbox.PORT), time.time())
        record = Record(instance, slot.number, records.boot_id())
        try:
            running = self._launch(record, slot)
        except OSError as error:
            await self._discard(slot, spec.id)
            self._outputs.forget(spec.id)
            reason = error.strerror or error
            raise Unavailable(f"this machine could not start {spec.process}: {reason}") from error
        self._watch(running)
        return instance

    async def wait(self, instance: Instance) -> Exit:
        """Until it has ended. One that this engine never knew counts as killed."""
        if running := self._running.get(instance.id):
            return await asyncio.shield(running.exit)
        return self._ended.get(instance.id, Exit(_KILLED))

    async def freeze(self, instance: Instance) -> None:
        """Hold all its processes. Raises Unavailable where the machine has no freezer."""
        if running := self._running.get(instance.id):
            groups.hold(self._cgroups, running.slot.name, frozen=True)
            self._outputs.hold(instance.id, frozen=True)

    async def thaw(self, instance: Instance) -> None:
        """Let it go on."""
        if running := self._running.get(instance.id):
            groups.hold(self._cgroups, running.slot.name, frozen=False)
            self._outputs.hold(instance.id, frozen=False)

    def frozen(self, instance: Instance) -> bool:
        """Whether it is held: the kernel knows, whoever did it."""
        running = self._running.get(instance.id)
        return running is not None and groups.is_frozen(self._cgroups, running.slot.name)

    async def reclaim(self, instance: Instance) -> bool:
        """Move its memory to swap. False without swap, or in a kernel before 5.10."""
        running = self._running.get(instance.id)
        if running is None or not self.frozen(instance):
            return False
        return await asyncio.to_thread(memory.reclaim, self._cgroups, running.slot.name)

    def held_mb(self, instance: Instance) -> int:
        """Anonymous memory and swap; files that it reads are no part of it."""
        running = self._running.get(instance.id)
        return memory.held_mb(self._cgroups, running.slot.name) if running else 0

    def free_mb(self) -> int:
        """What the machine has, or the container that hostd is in."""
        return memory.free_mb(self._cgroups)

    async def stop(self, instance: Instance, grace: float) -> bool:
        """SIGTERM to all its processes, SIGKILL after `grace` seconds; then nothing of it is left."""
        running = self._running.get(instance.id)
        if running is None:
            return True
        assert running.watch
        in_time = True
        try:
            async with asyncio.timeout(grace):
                if self.frozen(instance):
                    await self.thaw(instance)
                telling = asyncio.create_task(self._terminate(running))
                try:
                    await asyncio.shield(running.exit)
                finally:
                    telling.cancel()
        except TimeoutError:
            in_time = running.exit.done()
            running.told = running.told if in_time else signal.SIGKILL
            with contextlib.suppress(ProcessLookupError):  # it may not have joined its cgroup yet
                signal.pidfd_send_signal(running.pidfd, signal.SIGKILL)
            await self._slots.empty(running.slot)
        await asyncio.shield(running.watch)
        return in_time

    async def run(self, task: Task, on_line: Callable[[str], None]) -> Exit:
        """Run a task to its end. Exit.limit: "seconds", "memory", "output" or "processes"."""
        return await self._attended(task, Listener(task.limits, on_line))

    async def converse(self, task: Task, console: Console) -> Exit:
        """Run a task that somebody sits at. Exit.limit: "seconds", "memory" or "processes"."""
        if console.size:
            task = replace(task, command=(*TAKE_TERMINAL, *task.command))
        talking = Conversation(console, owner_of(task.tenant), task.limits.seconds)
        return await self._attended(task, talking)

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

    def _launch(self, record: Record, slot: Slot) -> _Running:
        spec = record.instance.spec
        place = self._instances / spec.id
        records.write(self._instances, record)
        groups.limit(self._cgroups, slot.name, spec.limits, weight=INSTANCE_WEIGHT)
        view = View(
            mounts=(
                *show(spec.image, slot.directory, spec.tenant, spec.limits.disk_mb),
                *own_limits(self._cgroups, slot),
            ),
            env={**spec.env, "PORT": str(sandbox.PORT)},
            directory=spec.directory,
            etc=self._etc,
            disk_mb=spec.limits.disk_mb,
        )
        launch = launch_of(self._cgroups, slot, spec.tenant, spec.limits, stays=False)
        output = self._outputs.create(spec.id, spec.environment, spec.process)
        try:
            pid = leave(view, launch, spec.command, place / "status", output)
        finally:
            os.close(output)
        records.write_pid(self._instances, spec.id, pid)
        return _Running(record, slot, pid, os.pidfd_open(pid), asyncio.get_running_loop().create_future())

    def _watch(self, running: _Running) -> None:
        self._running[running.record.instance.id] = running
        running.watch = asyncio.create_task(self._see_off(running))

    async def _see_off(self, running: _Running) -> None:
        await processes.ended(running.pidfd)
        instance = running.record.instance
        exit_ = self._exit_of(instance.id, running.slot, running.told)
        try:
            await self._discard(running.slot, instance.id)
        finally:
            self._remember(instance.id, exit_)
            self._outputs.end(instance.id)
            running.exit.set_result(exit_)
            del self._running[instance.id]
            os.close(running.pidfd)

    def _exit_of(self, instance_id: str, slot: Slot, told: int = 0) -> Exit:
        """As bubblewrap reports it; it cannot where it was killed itself or the program had not begun."""
        if told == signal.SIGKILL:
            return Exit(_KILLED, groups.limit_hit(self._cgroups, slot.name))
        facts = records.read_status(self._instances / instance_id / "status")
        silent = 128 + (told or signal.SIGKILL) if "child-pid" in facts else 1
        status = facts.get("exit-code", silent)
        return Exit(status, groups.limit_hit(self._cgroups, slot.name) if status else "")

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
        """SIGTERM to all but bubblewrap's two (its monitor would leave the app behind, its reaper ignores it) and but
        shells that wait for others. Those are told once all the others are gone and they go on."""
        told: set[int] = set()
        while not running.exit.done():
            left = self._processes(running)
            if left and not told & left:
                waiting = processes.shells_that_wait(sorted(left)) if not told else set()
                told = left - waiting
                for pid in told:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
                running.told = signal.SIGTERM
            await asyncio.sleep(0.005 if not left else _LOOK_AGAIN)  # none: it is only just starting

    def _processes(self, running: _Running) -> set[int]:
        """What the app itself runs; nothing before bubblewrap has made the sandbox."""
        status = self._instances / running.record.instance.id / "status"
        reaper = records.read_status(status).get("child-pid", 0)
        found = groups.processes(self._cgroups, running.slot.name) if reaper else []
        return set(found) - {running.pid, reaper}

    def _adopt(self) -> None:
        boot = records.boot_id()
        for record in records.read_all(self._instances):
            instance = record.instance
            slot = self._slots.at(record.slot)
            pid = records.read_pid(self._instances, instance.id) if record.boot == boot else 0
            pidfd = processes.alive_in(pid, f"/{self._cgroups.parents[0].name}/{slot.name}")
            if pidfd is not None:
                ending: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
                self._watch(_Running(record, slot, pid, pidfd, ending))
            else:
                self._remember(instance.id, self._exit_of(instance.id, slot))
                records.remove(self._instances, instance.id)

    async def _attended(self, task: Task, attendant: Attendant) -> Exit:
        try:
            slot = await self._slots.take()
            try:
                return await self._run_in(slot, task, attendant)
            finally:
                await asyncio.shield(self._discard(slot))
        finally:
            attendant.close()

    async def _run_in(self, slot: Slot, task: Task, attendant: Attendant) -> Exit:
        groups.limit(self._cgroups, slot.name, task.limits, weight=TASK_WEIGHT)
        shown = show(task.image, slot.directory, task.tenant, task.limits.disk_mb) if task.image else []
        bound = [Mount(bind.source, bind.target, bind.writable) for bind in task.binds]
        limits = own_limits(self._cgroups, slot)
        view = View(
            (*shown, *bound, *limits), task.env, task.directory, self._etc, task.limits.disk_mb, task.network
        )
        launch = launch_of(self._cgroups, slot, task.tenant, task.limits, stays=True)
        process = await spawn(view, launch, task.command, slot.directory / "status", attendant.inside)
        attendant.started()

        async def kill() -> None:
            if process.returncode is None:
                command.kill_session(process)  # it may not have joined its cgroup yet
            await self._slots.empty(slot)

        limit = await attendant.attend(process, kill)
        status = process.returncode or 0
        status = 128 - status if status < 0 else status
        if status and not limit:
            return Exit(status, groups.limit_hit(self._cgroups, slot.name))
        return Exit(_KILLED, limit) if limit else Exit(status)
