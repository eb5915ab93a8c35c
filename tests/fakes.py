"""FakeEngine: keeps the contract of `hostd.engine.base` without a sandbox, a root or a process of its own.

It understands a little shell, `;` between the commands of ("sh", "-c", line): `echo TEXT`, `sleep SECONDS`, `yes`,
`exit STATUS`, `trap '' TERM`, `serve STATUS`; to somebody who sits at a task also `cat`, `stty size` and `>&2` at the
end of an `echo`. Whatever else it is told to run serves 200 and the Release's number.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from hostd.engine.base import Report, Task
from hostd.errors import Unavailable
from hostd.model.image import Image
from hostd.model.instance import Endpoint, Exit, Instance, InstanceSpec, Limits
from hostd.model.log import LogLine
from hostd.model.task import Console, Size

TERMINATED, KILLED = 143, 137
HELD_MB = 30


@dataclass(eq=False, slots=True)
class _Life:
    """One Instance: what it says, whether it ignores SIGTERM, how it ended."""

    instance: Instance
    server: asyncio.Server | None
    acting: asyncio.Task[int]
    said: list[str]
    deaf: list[bool]
    exit: asyncio.Future[Exit]


@dataclass(eq=False, slots=True)
class FakeMachine:
    """What outlives an engine."""

    lives: dict[str, _Life] = field(default_factory=dict)
    lines: asyncio.Queue[LogLine] = field(default_factory=asyncio.Queue)
    frozen: set[str] = field(default_factory=set)
    reclaimed: set[str] = field(default_factory=set)


class FakeEngine:
    """`refuse` maps a process type to the reason why it cannot be started; `tasks` are those that were run.

    `memory_mb` is what the machine has, `swap` whether it has any; each Instance holds HELD_MB. `reclaim` waits for
    `reclaiming`, if it is set. `sick` are ids of Instances that answer 500 whatever they serve, `deaf` of those that
    listen no more.
    """

    def __init__(self, machine: FakeMachine | None = None) -> None:
        self.machine = machine or FakeMachine()
        self.refuse: dict[str, str] = {}
        self.tasks: list[Task] = []
        self.sick: set[str] = set()
        self.deaf: set[str] = set()
        self.memory_mb = 1 << 20
        self.swap = True
        self.reclaiming: asyncio.Event | None = None

    @property
    def running(self) -> list[str]:
        """`environment-process-vN` of every Instance that runs, sorted."""
        specs = [life.instance.spec for life in self.machine.lives.values() if not life.exit.done()]
        return sorted(f"{spec.environment}-{spec.process}-v{spec.release}" for spec in specs)

    async def open(self) -> Report:
        return Report("fake", (), ("everything",))

    async def close(self) -> None:
        return None

    async def remove(self) -> None:
        """End everything."""
        for life in self.machine.lives.values():
            await self.stop(life.instance, 0.0)

    async def start(self, spec: InstanceSpec) -> Instance:
        if spec.process in self.refuse:
            raise Unavailable(self.refuse[spec.process])
        line = spec.command[-1]
        server = await _serve(line, spec.release, lambda: spec.id in self.sick) if _serves(line) else None
        port = server.sockets[0].getsockname()[1] if server else 1
        instance = Instance(spec, Endpoint("127.0.0.1", port), time.time())
        said: list[str] = []
        deaf: list[bool] = []

        def say(text: str) -> None:
            said.append(text)
            line = LogLine(time.time(), spec.environment, "app", spec.process, spec.id, text)
            self.machine.lines.put_nowait(line)

        acting = asyncio.create_task(_act(line, say, deaf))
        life = _Life(instance, server, acting, said, deaf, asyncio.get_running_loop().create_future())
        acting.add_done_callback(lambda task: _end(life, TERMINATED if task.cancelled() else task.result()))
        self.machine.lives[spec.id] = life
        return instance

    async def wait(self, instance: Instance) -> Exit:
        life = self.machine.lives.get(instance.id)
        return await asyncio.shield(life.exit) if life else Exit(KILLED)

    async def freeze(self, instance: Instance) -> None:
        self.machine.frozen.add(instance.id)

    async def thaw(self, instance: Instance) -> None:
        self.machine.frozen.discard(instance.id)
        self.machine.reclaimed.discard(instance.id)

    def frozen(self, instance: Instance) -> bool:
        return instance.id in self.machine.frozen

    async def reclaim(self, instance: Instance) -> bool:
        if not self.swap or not self.frozen(instance):
            return False
        if self.reclaiming:
            await self.reclaiming.wait()
        self.machine.reclaimed.add(instance.id)
        return True

    def held_mb(self, instance: Instance) -> int:
        life = self.machine.lives.get(instance.id)
        return HELD_MB if life and not life.exit.done() else 0

    def free_mb(self) -> int:
        return self.memory_mb - HELD_MB * len(self.running)

    async def stop(self, instance: Instance, grace: float) -> bool:
        self.machine.frozen.discard(instance.id)
        life = self.machine.lives.get(instance.id)
        if life is None or life.exit.done():
            return True
        if grace and not life.deaf:
            life.acting.cancel()
            await asyncio.shield(life.exit)
            return True
        await asyncio.wait({life.acting}, timeout=grace)
        in_time = life.exit.done()
        _end(life, KILLED)
        life.acting.cancel()
        return in_time

    async def run(self, task: Task, on_line: Callable[[str], None]) -> Exit:
        self.tasks.append(task)
        said = 0

        def say(text: str) -> None:
            nonlocal said
            said += len(text) + 1
            if task.limits.output_mb and said > task.limits.output_mb << 20:
                raise OverflowError
            on_line(text)

        try:
            async with asyncio.timeout(task.limits.seconds or None):
                return Exit(await _act(task.command[-1], say, []))
        except TimeoutError:
            return Exit(KILLED, "seconds")
        except OverflowError:
            return Exit(KILLED, "output")

    async def converse(self, task: Task, console: Console) -> Exit:
        self.tasks.append(task)
        try:
            async with asyncio.timeout(task.limits.seconds or None):
                return Exit(await _talk(task.command[-1], console))
        except TimeoutError:
            return Exit(KILLED, "seconds")

    async def instances(self) -> Sequence[Instance]:
        return [life.instance for life in self.machine.lives.values() if not life.exit.done()]

    async def output(self) -> AsyncIterator[LogLine]:
        while True:
            yield await self.machine.lines.get()

    def tail(self, instance_id: str, lines: int) -> Sequence[str]:
        life = self.machine.lives.get(instance_id)
        return life.said[-lines:] if life and lines > 0 else []

    def listening(self, instance: Instance) -> Sequence[str]:
        life = self.machine.lives.get(instance.id)
        there = life and life.server and instance.id not in self.deaf
        return [f"0.0.0.0:{instance.endpoint.port}"] if there else []


def instance_spec(command: Sequence[str] = ("serve 200",), **changes: object) -> InstanceSpec:
    """An InstanceSpec for tests that care about the `changes` only."""
    facts: dict[str, object] = {
        "id": f"web.{time.monotonic_ns()}",
        "tenant": 1,
        "environment": "shop-production",
        "release": 1,
        "process": "web",
        "image": Image("sha256:0", (), {}, ()),
        "command": tuple(command),
        "directory": "/app",
        "env": {"PATH": "/usr/bin:/bin"},
        "limits": Limits(),
    }
    return InstanceSpec(**(facts | changes))  # type: ignore[arg-type]


def _serves(line: str) -> bool:
    return _commands(line)[-1][0] not in ("echo", "sleep", "yes", "exit", "trap")


def _commands(line: str) -> list[list[str]]:
    return [command.split() for command in line.split(";") if command.strip()]


async def _act(line: str, say: Callable[[str], None], deaf: list[bool]) -> int:
    """Do what `line` says; its exit status."""
    for name, *words in _commands(line):
        match name:
            case "echo":
                say(" ".join(words))
            case "sleep":
                await asyncio.sleep(float(words[0]))
            case "exit":
                return int(words[0])
            case "trap":
                deaf.append(True)
            case "yes":
                while True:
                    say("y")
                    await asyncio.sleep(0)
            case _:
                await asyncio.Event().wait()
    return 0


async def _talk(line: str, console: Console) -> int:
    """As `_act`, with somebody who reads and types; its exit status."""
    size = console.size
    for name, *words in _commands(line):
        match name:
            case "echo" if words[-1] == ">&2":
                await console.give(f"{' '.join(words[:-1])}\n".encode(), True)
            case "echo":
                await console.give(f"{' '.join(words)}\n".encode(), False)
            case "cat":
                while given := await console.take():
                    if isinstance(given, Size):
                        size = given
                    else:
                        await console.give(given, False)
            case "stty" if size:
                await console.give(f"{size.rows} {size.columns}\n".encode(), False)
            case _:
                if status := await _act(" ".join((name, *words)), lambda text: None, []):
                    return status
    return 0


async def _serve(line: str, release: int, sick: Callable[[], bool]) -> asyncio.Server:
    name, *words = _commands(line)[-1]
    status = words[0] if name == "serve" else "200"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            body = f"v{release}\n"
            said = 500 if sick() else status
            head = f"HTTP/1.1 {said} It\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write((head + body).encode())
            await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


def _end(life: _Life, status: int) -> None:
    if not life.exit.done():
        life.exit.set_result(Exit(status))
        if life.server:
            life.server.close()
