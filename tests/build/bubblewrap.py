"""A Runner as small as can be: bubblewrap without cgroups and networks. The engine's own tests look after these."""

import asyncio
import os
from collections.abc import Callable
from subprocess import PIPE, STDOUT

from hostd.command import Command, each_line, kill_session, spawn
from hostd.model.app import owner_of
from hostd.model.instance import Exit
from hostd.model.task import Task

_SYSTEM = (
    "bwrap --unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-net --uid 1000 --gid 1000"
    " --cap-drop ALL --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64"
    " --proc /proc --dev /dev --tmpfs /tmp --dir /app --clearenv"
).split()


class Bubblewrap:
    """Runs tasks as the App's own uid; keeps them in `tasks`. Of the limits it keeps `seconds`."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    async def run(self, task: Task, on_line: Callable[[str], None]) -> Exit:
        """Run a task to its end. Cancelled: kills all of it."""
        self.tasks.append(task)
        owner = owner_of(task.tenant)
        words = ["setpriv", f"--reuid={owner}", f"--regid={owner}", "--clear-groups", *_SYSTEM]
        for bind in task.binds:
            words += ["--bind" if bind.writable else "--ro-bind", str(bind.source), bind.target]
        for name, value in task.env.items():
            words += ["--setenv", name, value]
        command = Command((*words, "--chdir", task.directory, "--", *task.command))
        process = await spawn(command, stdout=PIPE, stderr=STDOUT)
        assert process.stdout
        try:
            async with asyncio.timeout(task.limits.seconds or None):
                await each_line(process.stdout, on_line)
                status = await process.wait()
        except TimeoutError:
            return Exit(137, "seconds")
        finally:
            kill_session(process)
            await process.wait()
        return Exit(status if status >= 0 else 128 - status)


def can_run() -> bool:
    """Whether this machine lets the tests do it."""
    return os.geteuid() == 0
