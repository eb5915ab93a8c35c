"""Slots: a network namespace with an address, a cgroup and a directory for mounts, made before somebody needs them.

A slot is used once. Its number is never given twice by one installation, so its names and its address tell for sure
whose they are.
"""

import asyncio
import contextlib
import fcntl
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostd import command, mounts
from hostd.engine import cgroups as groups
from hostd.engine import network as networks
from hostd.engine.cgroups import Cgroups
from hostd.engine.network import Network
from hostd.errors import Unavailable

READY = 4  # slots kept ready
_RESERVED = 64  # numbers taken from the file at once
_SETTLE = 0.15  # seconds between the use of a slot and making the next: what was started needs the CPU first
_DUMPS = 50  # times to ask for a list that changes
_NAMESPACES = Path("/run/netns")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one sandbox runs. `directory` is for its mounts."""

    number: int
    namespace: str
    address: str
    directory: Path

    @property
    def name(self) -> str:
        """The name of its cgroup."""
        return str(self.number)


class Slots:
    """Makes slots ahead of need, gives each out once, and removes all that one had."""

    def __init__(self, directory: Path, network: Network, cgroups: Cgroups) -> None:
        self._directory = directory
        self._network = network
        self._cgroups = cgroups
        self._ready: deque[Slot] = deque()
        self._next, self._ceiling = 0, 0
        self._filling: asyncio.Task[None] | None = None
        self._removing: asyncio.Task[None] | None = None
        self._left: list[int] = []

    def at(self, number: int) -> Slot:
        """The slot that has this number."""
        return Slot(
            number,
            self._network.namespace(number),
            str(self._network.address(number)),
            self._directory / "sandboxes" / str(number),
        )

    async def open(self, used: Iterable[int]) -> None:
        """Remove every slot but the `used` ones, then make some."""
        used_names = {str(number) for number in used}
        for name in self._leftovers() - used_names:
            await self.empty(self.at(int(name)))
            self._left.append(int(name))
        await self._remove_left()
        self._ready.append(await self._make())
        self._refill(0)

    async def close(self) -> None:
        """Remove what nobody uses."""
        for task in (self._filling, self._removing):
            if task:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._left += [slot.number for slot in self._ready]
        self._ready.clear()
        await self._remove_left()

    async def take(self) -> Slot:
        """A fresh slot. Raises Unavailable if the machine cannot make one."""
        slot = self._ready.popleft() if self._ready else await self._make()
        self._refill(_SETTLE)
        return slot

    async def empty(self, slot: Slot) -> None:
        """Kill everything in a slot and unmount what it had. Raises Unavailable if something cannot be killed."""
        if not groups.kill(self._cgroups, slot.name):
            for pause in groups.killing():
                await asyncio.sleep(pause)
                if groups.kill(self._cgroups, slot.name, closed=True):
                    break
            else:
                raise Unavailable(f"a process in sandbox {slot.number} cannot be killed", hint="see: dmesg")
        _clear(slot.directory)

    def give_back(self, slot: Slot) -> None:
        """Remove an emptied slot, soon."""
        self._left.append(slot.number)
        if self._removing is None or self._removing.done():
            self._removing = asyncio.create_task(self._remove_soon())

    def _leftovers(self) -> set[str]:
        prefix = f"{self._network.bridge}-"
        spaces = _NAMESPACES.iterdir() if _NAMESPACES.is_dir() else ()
        places = self._directory / "sandboxes"
        found = {path.name.removeprefix(prefix) for path in spaces if path.name.startswith(prefix)}
        found |= {path.name for path in places.iterdir()} if places.is_dir() else set()
        return {name for name in found | groups.names(self._cgroups) if name.isdigit()}

    def _refill(self, delay: float) -> None:
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill(delay))

    async def _fill(self, delay: float) -> None:
        while len(self._ready) < READY:
            if self._ready:
                await asyncio.sleep(delay)
            try:
                self._ready.append(await self._make())
            except Unavailable:
                return  # whoever needs one next is told

    async def _make(self) -> Slot:
        number = self._number()
        slot = self.at(number)
        outside, inside = networks.slot_commands(self._network, number)
        try:
            await ip_batch(outside)
            await ip_batch(inside, slot.namespace)
            groups.create(self._cgroups, slot.name)
            slot.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        except asyncio.CancelledError:
            self._left.append(number)
            raise
        except (command.CommandFailed, OSError) as error:
            self._left.append(number)
            raise Unavailable(f"this machine cannot make another sandbox: {error}") from error
        return slot

    def _number(self) -> int:
        file = self._directory / "next_slot"
        if self._next >= self._ceiling:
            try:
                following = int(file.read_text()) if file.exists() else 1
                partial = file.with_suffix(".partial")
                partial.write_text(str(following + _RESERVED))
                partial.rename(file)
            except OSError as error:
                raise Unavailable(f"this machine cannot make another sandbox: {error.strerror}") from error
            self._next, self._ceiling = following, following + _RESERVED
        self._next += 1
        return self._next - 1

    async def _remove_soon(self) -> None:
        while self._left:
            await asyncio.sleep(_SETTLE)
            await self._remove_left()

    async def _remove_left(self) -> None:
        left = list(self._left)
        spaces = [self._network.namespace(number) for number in left]
        lines = "".join(f"netns del {name}\n" for name in spaces if (_NAMESPACES / name).exists())
        if lines:  # forced: what fails once is found again at the next open
            await command.run(command.Command(("ip", "-force", "-batch", "-"), input=lines.encode()))
        for number in left:
            with contextlib.suppress(OSError):  # busy for an instant yet: the next open finds it
                groups.remove(self._cgroups, str(number))
            self._left.remove(number)


@contextlib.asynccontextmanager
async def machine_lock() -> AsyncIterator[None]:
    """Held while a free network is looked for: several hostd on one machine must not find the same."""
    descriptor = os.open("/run/hostd-network.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


async def ip_batch(lines: str, namespace: str = "") -> None:
    """Run lines of ip(8). Raises CommandFailed."""
    if lines:
        inside = ("-n", namespace) if namespace else ()
        await command.check(command.Command(("ip", *inside, "-batch", "-"), input=lines.encode()))


async def ip_json(*words: str) -> list[dict[str, Any]]:
    """What `ip -json` answers. Raises CommandFailed, Unavailable."""
    for _ in range(_DUMPS):
        text = await command.check(command.Command(("ip", "-json", *words)))
        if "Dump was interrupted" not in text:  # a link changed meanwhile, so something may be missing
            found: list[dict[str, Any]] = json.loads(text or "[]")
            return found
    raise Unavailable(f"the network of this machine never stands still: ip {' '.join(words)}")


def _clear(directory: Path) -> None:
    """Unmount and remove. Only empty directories are ever removed here, so no mount can lose a file."""
    if not directory.is_dir():
        return
    children = sorted(
        directory.iterdir(), key=lambda path: path.name == "disk"
    )  # the overlay's layers go last
    for path in children:
        mounts.unmount(path)
    for path in children:
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()
    with contextlib.suppress(OSError):
        directory.rmdir()
