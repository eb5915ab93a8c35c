"""Running a Build's programs in the engine's sandbox, within the limits of the whole Build."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from hostd.build.digest import DEPTH_LIMIT
from hostd.errors import LimitExceeded
from hostd.model.instance import BUILD_LIMITS, Exit, Limits
from hostd.model.task import Bind, Task

_KILLED = 137  # 128 + SIGKILL
WATCH_INTERVAL = 1.0  # seconds; longer where looking itself takes long


class Runner(Protocol):
    """The part of an Engine that a Build needs."""

    async def run(self, task: Task, on_line: Callable[[str], None]) -> Exit:
        """Run a task to its end. Cancelled: kills all of it."""
        ...


class Sandbox:
    """One for each Build: it knows how much of the Build's time is left."""

    def __init__(
        self, runner: Runner, tenant: int, watched: Sequence[Path], limits: Limits = BUILD_LIMITS
    ) -> None:
        self._runner = runner
        self._tenant = tenant
        self._watched = watched
        self._limits = limits
        self._end = asyncio.get_running_loop().time() + limits.seconds

    async def run(
        self,
        command: tuple[str, ...],
        env: Mapping[str, str],
        binds: Sequence[Bind],
        on_line: Callable[[str], None],
        *,
        network: bool = True,
    ) -> int:
        """The exit status of `command`, started in /app. Raises LimitExceeded in words for the pusher."""
        left = max(self._end - asyncio.get_running_loop().time(), 0.1)
        task = Task(
            tenant=self._tenant,
            command=command,
            env=dict(env),
            binds=tuple(binds),
            limits=replace(self._limits, seconds=left),
            network=network,
        )
        running = asyncio.create_task(self._runner.run(task, on_line))
        watching = asyncio.create_task(self._watch_disk())
        try:
            await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
            ended = running.result() if running.done() else Exit(_KILLED, watching.result())
        finally:
            for each in (running, watching):
                each.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await each
        if ended.limit:
            raise LimitExceeded(_words(ended.limit, self._limits), hint=_HINTS.get(ended.limit, ""))
        return ended.status

    async def _watch_disk(self) -> str:
        """The limit, once more is written, or deeper, than may be."""
        loop = asyncio.get_running_loop()
        pause = WATCH_INTERVAL
        while True:
            await asyncio.sleep(pause)
            start = loop.time()
            used = await asyncio.to_thread(usage, self._watched)
            if used.depth > DEPTH_LIMIT:
                return "depth"
            if used.size > self._limits.disk_mb * 1024 * 1024:
                return "disk"
            pause = max(WATCH_INTERVAL, 10 * (loop.time() - start))


@dataclass(frozen=True, slots=True)
class Usage:
    """`size` in bytes on disk; `depth` of directories in each other."""

    size: int
    depth: int


def usage(directories: Sequence[Path]) -> Usage:
    """What lies below `directories` while others write there: what vanishes meanwhile is not counted.

    Nothing below DEPTH_LIMIT is looked at: path names have an end too.
    """
    size = deepest = 0
    waiting = [(str(directory), 0) for directory in directories]
    while waiting:
        directory, depth = waiting.pop()
        deepest = max(deepest, depth)
        if depth > DEPTH_LIMIT:
            continue
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
    return Usage(size, deepest)


_HINTS = {
    "disk": "write caches to /tmp, and leave large files out of the build",
    "memory": "let the build do less at once",
}


def _words(limit: str, limits: Limits) -> str:
    return {
        "seconds": f"the build took longer than {limits.seconds / 60:g} min",
        "memory": f"the build used more than {limits.memory_mb} MB of memory",
        "processes": f"the build ran more than {limits.processes} processes at once",
        "output": f"the build printed more than {limits.output_mb} MB",
        "depth": f"the build made directories nested deeper than {DEPTH_LIMIT}",
        "disk": f"the build wrote more than {limits.disk_mb} MB to disk",
    }.get(limit, f"the build went over its limit of {limit}")
