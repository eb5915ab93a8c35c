"""A task that somebody sits at: what they type goes in, what it prints goes out, as fast as the other side takes it."""

import asyncio
import fcntl
import os
import struct
import termios
from asyncio.subprocess import Process

from hostd.engine.channel import Channel
from hostd.engine.tasks import Kill
from hostd.model.task import Console, Size

PATIENCE = 1.0  # seconds in which what a task printed before it hit its limit can still be read
END_OF_INPUT = b"\x04"  # as the keyboard says it to a terminal


class Conversation:
    """The descriptors between a Console and a task: a terminal if the Console has a size, else three pipes.

    `inside` are the task's stdin, stdout and stderr, `owner` the uid that a terminal belongs to.
    """

    def __init__(self, console: Console, owner: int, seconds: float) -> None:
        self._console = console
        self._seconds = seconds
        if console.size:
            master, terminal = os.openpty()
            os.fchown(terminal, owner, owner)  # programs open it anew, as /dev/stdin
            resize(master, console.size)
            self._typed = Channel(master)
            self._printed = {Channel(os.dup(master)): False}
            self.inside = (terminal, terminal, terminal)
        else:
            stdin, typed = os.pipe()
            printed, stdout = os.pipe()
            failed, stderr = os.pipe()
            self._typed = Channel(typed)
            self._printed = {Channel(printed): False, Channel(failed): True}
            self.inside = (stdin, stdout, stderr)

    def started(self) -> None:
        """The task has its own ends now, or never will."""
        for descriptor in set(self.inside):
            os.close(descriptor)
        self.inside = (-1, -1, -1)

    def close(self) -> None:
        """Let go of everything."""
        if self.inside[0] >= 0:
            self.started()
        for channel in (self._typed, *self._printed):
            channel.close()

    async def attend(self, process: Process, kill: Kill) -> str:
        """Until the end: "", or the limit that was hit ("seconds"). Cancelled, or if the Console raises, it kills."""
        typing = asyncio.create_task(self._type())
        printing = {asyncio.create_task(self._pass_on(*each)) for each in self._printed.items()}
        ended = asyncio.create_task(process.wait())
        limit, pending = "", {typing, *printing, ended}
        try:
            try:
                async with asyncio.timeout(self._seconds or None):
                    while not ended.done():
                        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                        for task in done:
                            task.result()
            except TimeoutError:
                limit = "seconds"
            finally:
                await asyncio.shield(kill())
                await asyncio.shield(ended)
            if limit:  # whoever does not read had their time
                await asyncio.wait(printing, timeout=PATIENCE)
            else:
                await asyncio.gather(*printing)  # what is in the pipes yet
            return limit
        finally:
            for task in (typing, *printing):
                task.cancel()
            await asyncio.gather(typing, *printing, return_exceptions=True)

    async def _type(self) -> None:
        """Until nobody reads it any more."""
        while True:
            await asyncio.sleep(0)  # neither taking nor writing need wait for anything
            given = await self._console.take()
            if isinstance(given, Size):
                if self._console.size:
                    resize(self._typed.file.fileno(), given)
                continue
            if not given and not self._console.size:
                return self._typed.close()
            if not await self._typed.write(given or END_OF_INPUT):
                return

    async def _pass_on(self, channel: Channel, is_error: bool) -> None:
        while data := await channel.read():
            await self._console.give(data, is_error)
            await asyncio.sleep(0)


def resize(terminal: int, size: Size) -> None:
    """Tell a terminal its size; what runs in its foreground gets SIGWINCH (ioctl_tty(2), TIOCSWINSZ)."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.columns, 0, 0))
