"""The contract every engine keeps, and the fake too (tests/engine/test_engine_contract.py runs over all)."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hostd.model.instance import Exit, Instance, InstanceSpec
from hostd.model.log import LogLine
from hostd.model.task import Bind as Bind
from hostd.model.task import Console as Console
from hostd.model.task import Task as Task


@dataclass(frozen=True, slots=True)
class Report:
    """What an engine isolates on this machine and what it cannot, in words for the operator.

    `sleep` says where the memory of a frozen Instance goes.
    """

    name: str
    isolates: tuple[str, ...]
    lacks: tuple[str, ...]
    sleep: str = ""


class Engine(Protocol):
    """Runs Instances and tasks. Everything is safe to repeat: start what runs, stop what is gone."""

    async def open(self) -> Report:
        """Make the machine ready (bridge, cgroups, rules). Raises Unavailable naming what is missing."""
        ...

    async def close(self) -> None:
        """Let go of what belongs to this process. Instances go on running."""
        ...

    async def start(self, spec: InstanceSpec) -> Instance:
        """Start one; returns once its process exists, before it listens. Raises Unavailable, LimitExceeded."""
        ...

    async def wait(self, instance: Instance) -> Exit:
        """Until it has ended. May be awaited by many, and for one that has ended already."""
        ...

    async def freeze(self, instance: Instance) -> None:
        """Hold all its processes where they are: no CPU, memory kept; connections wait in the kernel. Safe to repeat.

        Raises Unavailable if it cannot be held; then it runs.
        """
        ...

    async def thaw(self, instance: Instance) -> None:
        """Let it go on. Safe to repeat, and for one that is gone."""
        ...

    def frozen(self, instance: Instance) -> bool:
        """Whether it is held, also by an earlier hostd."""
        ...

    async def reclaim(self, instance: Instance) -> bool:
        """Move the memory of a frozen one to swap; `thaw` needs no more for it. False where there is no room for it.

        Nothing happens to one that is not frozen, or gone: False.
        """
        ...

    def held_mb(self, instance: Instance) -> int:
        """Memory in MB that is its own, also what is in swap; 0 for one that is gone."""
        ...

    def free_mb(self) -> int:
        """Memory in MB that Instances may still take on this machine."""
        ...

    async def stop(self, instance: Instance, grace: float) -> bool:
        """SIGTERM, SIGKILL after `grace` seconds, then remove all it had. True if it went within the grace.

        A frozen one is thawed first.
        """
        ...

    async def run(self, task: Task, on_line: Callable[[str], None]) -> Exit:
        """Run a task to its end, giving each line of output as it comes. Cancelled: kills all of it."""
        ...

    async def converse(self, task: Task, console: Console) -> Exit:
        """Run a task that somebody sits at, with a terminal of its own if the Console has a size, to its end.

        Cancelled, or if the Console raises: kills all of it. Exit.limit is "seconds" after `task.limits.seconds`.
        """
        ...

    async def instances(self) -> Sequence[Instance]:
        """All that run now, also those an earlier hostd started."""
        ...

    def output(self) -> AsyncIterator[LogLine]:
        """Lines of all Instances as they come, from now on for ever; also what came while no hostd ran."""
        ...

    def tail(self, instance_id: str, lines: int) -> Sequence[str]:
        """The last lines an Instance printed, also after it ended (until it is forgotten)."""
        ...

    def listening(self, instance: Instance) -> Sequence[str]:
        """`address:port` of every TCP socket that listens inside, for the message of a failed health check."""
        ...
