"""Sleep: an Environment that nobody asks for is frozen, then its memory is reclaimed, at last it is stopped; and the
next request wakes it, and waits.

Nothing is dropped: the Route says "asleep" before anything is frozen, so a request that comes meanwhile asks for a
wake first; one that came before is counted by the router, and then nobody goes to sleep.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass

from hostd.control import formers
from hostd.control.access import Action, authorize
from hostd.control.formers import keeper_at
from hostd.control.keeper import Keeper
from hostd.control.platform import Platform
from hostd.errors import HostdError, Invalid
from hostd.model.app import App, Environment, User
from hostd.model.log import RequestRecord
from hostd.store import sleep as sleeps

LOOK_EVERY = 1.0  # seconds
STEPS_AT_ONCE = 8  # Environments that freeze, reclaim or stop
PREVIEW_IDLE = 300  # seconds until a Preview sleeps, unless it is told otherwise
SHORTEST, LONGEST = 1, 7 * 24 * 3600
SLOW_START = "H20"
Key = tuple[str, str]  # an Environment's label and the name of a Release
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SleepTimes:
    """Seconds asleep until what is frozen gives back its memory, and until it is stopped."""

    reclaim_after: float = 60.0
    stop_after: float = 3600.0


class Sleeper:
    """Puts Environments to sleep and wakes them. `clock` counts seconds."""

    def __init__(
        self,
        platform: Platform,
        times: SleepTimes = SleepTimes(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._platform = platform
        self._times = times
        self._clock = clock
        self._asked: dict[Key, float] = {}  # when a Release was last asked for
        self._seen: dict[Key, Keeper] = {}
        self._steps = asyncio.Semaphore(STEPS_AT_ONCE)

    async def run(self, requests: AsyncIterator[RequestRecord]) -> None:
        """Watch requests, and look for idle Environments, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(requests))
            tasks.create_task(self._look())

    async def wake(self, host: str) -> str:
        """What the router is told about `host`: "ok" once it can be asked, else the code of a page."""
        try:
            keeper = await keeper_at(self._platform, host)
            if keeper is None:
                return "H99"
            self._asked[_key(keeper)] = self._clock()
            await keeper.wake()
        except HostdError as error:
            _log.warning("%s did not wake: %s", host, error.message)
            return SLOW_START
        return "ok"

    async def look(self) -> None:
        """Once: freeze what is idle, reclaim what has been frozen for a while, stop what has been for long."""
        limits = await self._platform.db.read(sleeps.every)
        steps: list[Coroutine[None, None, None]] = []
        for keeper in self._platform.keepers.values():
            environment = keeper.environment
            after = limits.get(environment.id, PREVIEW_IDLE if environment.preview else 0)
            slept = self._idle(keeper) - after
            if after and slept >= 0 and keeper.at_rest and self._due(keeper, slept):
                steps.append(self._rest(keeper, slept))
        for former in self._platform.formers.values():
            idle = self._idle(former)
            if idle >= formers.IDLE and former.at_rest:
                steps.append(self._rest_former(former, idle))
        await asyncio.gather(*steps)
        self._forget()

    async def _rest_former(self, former: Keeper, idle: float) -> None:
        async with self._steps, self._platform.lock(former.environment):
            try:
                await formers.rest(self._platform, former, idle)
            except HostdError as error:
                _log.warning("%s cannot be put to sleep: %s", former.hosts, error.message)

    def _due(self, keeper: Keeper, slept: float) -> bool:
        """Whether there is a step left for it: most sleep as deep as they may."""
        if not keeper.asleep:
            return True
        reclaims = slept > self._times.reclaim_after and not keeper.reclaimed
        return keeper.holds and (reclaims or slept > self._times.stop_after)

    async def _rest(self, keeper: Keeper, slept: float) -> None:
        """One step down, if it is time for it."""
        async with self._steps, self._platform.lock(keeper.environment):
            try:
                if not keeper.asleep:
                    await keeper.fall_asleep()
                elif slept > self._times.stop_after:
                    await keeper.stop_frozen()
                elif slept > self._times.reclaim_after:
                    await keeper.reclaim()
            except HostdError as error:
                _log.warning("%s cannot be put to sleep: %s", keeper.environment.label, error.message)

    def _forget(self) -> None:
        known = {_key(keeper) for keeper in self._platform.all_keepers}
        for remembered in (self._asked, self._seen):
            for key in remembered.keys() - known:
                del remembered[key]

    def _idle(self, keeper: Keeper) -> float:
        """Seconds since one of its hosts was asked for, or since it is looked at: a push counts as a request."""
        key = _key(keeper)
        if self._seen.get(key) is not keeper:
            self._seen[key] = keeper
            self._asked[key] = self._clock()
        return self._clock() - self._asked[key]

    async def _watch(self, requests: AsyncIterator[RequestRecord]) -> None:
        async for record in requests:
            if record.environment:  # anybody may ask for hosts that are nobody's, and for ever new ones
                self._asked[record.environment, record.release] = self._clock()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look()
            except HostdError as error:
                _log.warning("looking for idle apps failed: %s", error.message)
            except Exception:  # noqa: BLE001 (a bug met once must not end the looking for good)
                _log.exception("looking for idle apps failed")


def _key(keeper: Keeper) -> Key:
    return keeper.environment.label, keeper.release.name


async def set_sleep(
    platform: Platform, app: App, actor: User, environment: Environment, after: int | None
) -> None:
    """Let `environment` sleep after so many seconds without a request; 0: never. None: as it is by default.

    Raises Invalid.
    """
    authorize(actor, Action.SCALE, app)
    if after is not None and after != 0 and not SHORTEST <= after <= LONGEST:
        raise Invalid(f"{after} s is no time to fall asleep after: 0 (never) or {SHORTEST} to {LONGEST}")
    await platform.db.call(sleeps.set_after, environment.id, after)
    keeper = platform.keepers.get(environment.id)
    if after == 0 and keeper:
        await keeper.wake()


async def sleep_of(platform: Platform, environment: Environment) -> int:
    """Seconds without a request after which it sleeps; 0: never."""
    limits = await platform.db.read(sleeps.every)
    return limits.get(environment.id, PREVIEW_IDLE if environment.preview else 0)
