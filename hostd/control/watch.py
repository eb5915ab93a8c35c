"""A Watch keeps the slots of one Release filled: what ends is started again, later and later if it keeps ending."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hostd.control.launching import Slot, spec_of, wait_healthy
from hostd.control.platform import Platform
from hostd.control.routing import WEB
from hostd.errors import HostdError
from hostd.model.app import Environment
from hostd.model.instance import Exit, Instance, InstanceSpec, InstanceState
from hostd.model.log import LogLine
from hostd.model.release import Release

CALM = 60.0  # seconds an Instance has to run for its crashes to be forgotten
LONGEST_WAIT = 300.0  # seconds
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """What stands in one slot: its Instance, if one was started, and how often it ended by itself of late."""

    state: InstanceState
    since: datetime
    instance: Instance | None
    restarts: int = 0


class Watch:
    """The slots of one Release, and who stands in them. `publish` is called after each change of what answers."""

    def __init__(self, platform: Platform, environment: Environment, release: Release) -> None:
        self.environment = environment
        self.release = release
        self.places: dict[Slot, Place] = {}
        self._platform = platform
        self._tasks: dict[Slot, asyncio.Task[None]] = {}
        self._known_mb: dict[Slot, int] = {}  # what the Instance before took

    async def publish(self) -> None:
        """Tell those who ask for the Release what answers now."""
        raise NotImplementedError

    @property
    def instances(self) -> Sequence[Instance]:
        """Every Instance there is now."""
        return [place.instance for place in self.places.values() if place.instance]

    def put(
        self,
        slot: Slot,
        state: InstanceState,
        instance: Instance | None,
        restarts: Callable[[int], int] = lambda count: count,
    ) -> None:
        """What stands in `slot` from now on; `restarts` makes the new count of the old."""
        count = restarts(self.places[slot].restarts)
        self.places[slot] = Place(state, self._platform.now(), instance, count)

    def say(self, slot: Slot, text: str) -> None:
        """A line about `slot` in the app's log."""
        process, number = slot
        line = f"{process}.{number} {text}"
        at = self._platform.now().timestamp()
        self._platform.note(LogLine(at, self.environment.label, "hostd", process, "", line))

    def instead(self, slot: Slot, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` in place of watching `slot`, then watch it again; `let_go` ends either."""
        self._tasks[slot].cancel()
        self._tasks[slot] = asyncio.create_task(self._watch(slot, work))

    async def _unwatch(self, slot: Slot) -> None:
        """Its place stays, as that of an Instance that was stopped."""
        task = self._tasks.pop(slot)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.put(slot, InstanceState.STOPPED, None)

    async def _let_go(self, chosen: Sequence[Slot]) -> list[Instance]:
        tasks = [self._tasks.pop(slot) for slot in chosen if slot in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        places = [self.places.pop(slot) for slot in chosen]
        return [place.instance for place in places if place.instance]

    async def _watch(self, slot: Slot, first: Callable[[], Awaitable[None]] | None = None) -> None:
        if first:
            await first()
        while True:
            place = self.places[slot]
            try:
                if place.instance is None:
                    await self._start(slot)
                else:
                    ended = await self._platform.engine.wait(place.instance)
                    await self._ended(slot, place.instance, ended)
            except HostdError as error:
                self.say(slot, f"could not be started: {error.message}")
                await self._wait(slot)
            except Exception:  # noqa: BLE001 (one slot's bug must not end the watching of it)
                _log.exception("watching %s %s failed", self.environment.label, slot)
                await self._wait(slot)

    async def _start(self, slot: Slot) -> None:
        spec = spec_of(self._platform, self.environment, self.release, slot)
        need_mb = self._known_mb.get(slot, spec.limits.memory_mb)
        async with self._platform.room.taken(self._platform, need_mb):
            await self._start_in_room(slot, spec)

    async def _start_in_room(self, slot: Slot, spec: InstanceSpec) -> None:
        instance = await self._platform.engine.start(spec)
        self.put(slot, InstanceState.STARTING, instance)
        try:
            if slot[0] == WEB:
                await wait_healthy(self._platform, self.environment, instance)
        except BaseException:
            self.put(slot, InstanceState.CRASHED, None)
            await asyncio.shield(self._platform.engine.stop(instance, 0))
            raise
        self.put(slot, InstanceState.RUNNING, instance)
        await self.publish()

    async def _ended(self, slot: Slot, instance: Instance, ended: Exit) -> None:
        ran = self._platform.now().timestamp() - instance.started_at
        self.say(slot, str(ended))
        if ran >= CALM:
            self.put(slot, InstanceState.CRASHED, None, lambda _: 0)
        self.put(slot, InstanceState.CRASHED, None)
        await self.publish()
        await self._platform.engine.stop(instance, 0)
        await self._wait(slot)

    async def _wait(self, slot: Slot) -> None:
        """Wait before the next start: 1, 2, 4, ... LONGEST_WAIT seconds."""
        restarts = self.places[slot].restarts
        self.put(slot, InstanceState.CRASHED, None, lambda count: count + 1)
        await asyncio.sleep(min(LONGEST_WAIT, 2.0 ** min(restarts, 10)))
