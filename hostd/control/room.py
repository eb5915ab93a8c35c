"""Room for Instances to start in: so many at once, and only while the machine has the memory for them.

In a storm of wakes it is the CPU of the starts that breaks a machine, then its memory. Who has to wait keeps its turn.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hostd.control.keeper import Keeper
    from hostd.control.platform import Platform

STARTS_AT_ONCE = 2 * (os.cpu_count() or 1)
SHARE = 5.0  # seconds until a slow start no longer keeps others from theirs
RESERVE_MB = 256  # left for the machine itself
LOOK_AGAIN = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Sleeping:
    """An Environment that sleeps and still holds memory."""

    environment_id: int
    since: datetime
    held_mb: int


def make_room(need_mb: int, free_mb: int, sleeping: Sequence[Sleeping]) -> Sequence[Sleeping] | None:
    """Who is to be stopped so that `need_mb` fits into `free_mb`: nobody if it does, else who sleeps longest first.

    None if that were not enough.
    """
    chosen: list[Sleeping] = []
    for candidate in sorted(sleeping, key=lambda each: each.since):
        if need_mb <= free_mb:
            break
        chosen.append(candidate)
        free_mb += candidate.held_mb
    return chosen if need_mb <= free_mb else None


class Room:
    """What there is for starts on this machine."""

    def __init__(self, starts_at_once: int = STARTS_AT_ONCE, share: float = SHARE) -> None:
        self._starts = asyncio.Semaphore(starts_at_once)
        self._share = share
        self._next = asyncio.Lock()  # one after the other looks for memory
        self._promised_mb = 0  # to those that start and have not taken it yet

    @asynccontextmanager
    async def taken(self, platform: "Platform", need_mb: int) -> AsyncIterator[None]:
        """Waits for its turn and for `need_mb` of memory; who sleeps longest is stopped for it. Held SHARE at most."""
        with ExitStack() as held:
            await self._starts.acquire()
            held.callback(self._starts.release)
            async with self._next:
                await self._memory(platform, need_mb)
                self._promise(need_mb)
                held.callback(self._promise, -need_mb)
            share = asyncio.get_running_loop().call_later(self._share, held.close)
            held.callback(share.cancel)
            yield

    async def _memory(self, platform: "Platform", need_mb: int) -> None:
        """A start that is alone may try with less than it needs, or an app that asks for too much never could."""
        while True:
            free_mb = platform.engine.free_mb() - RESERVE_MB - self._promised_mb
            sleeping = _sleeping(platform)
            chosen = make_room(need_mb, free_mb, list(sleeping))
            if chosen is None and not self._promised_mb:
                chosen = make_room(1, free_mb, list(sleeping))
            if chosen == []:
                return
            if chosen:
                await asyncio.gather(*(_stop(platform, sleeping[each]) for each in chosen))
            else:
                await asyncio.sleep(LOOK_AGAIN)

    def _promise(self, more_mb: int) -> None:
        self._promised_mb += more_mb


def _sleeping(platform: "Platform") -> dict[Sleeping, "Keeper"]:
    """Those that may be stopped now: nobody wakes or changes them."""
    sleepers = (keeper for keeper in platform.all_keepers if keeper.asleep)
    found = ((keeper, keeper.held_mb()) for keeper in sleepers if not keeper.changing)
    return {
        Sleeping(keeper.environment.id, keeper.slept_at, held_mb): keeper
        for keeper, held_mb in found
        if held_mb and not platform.lock(keeper.environment).locked()
    }


async def _stop(platform: "Platform", keeper: "Keeper") -> None:
    async with platform.lock(keeper.environment):
        await keeper.stop_frozen()
