"""A Keeper watches the Instances of one live Release: what ends is started again, later and later if it keeps ending.

It also owns the Environment's Route while the Release is live: only Instances that answered are in it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hostd.control.launching import Slot, slot_of, spec_of, wait_healthy
from hostd.control.platform import Platform
from hostd.control.routing import WEB, route_of
from hostd.errors import HostdError
from hostd.model.app import Environment
from hostd.model.instance import Exit, Instance, InstanceState
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


class Keeper:
    """Keeps one Release running until `close`."""

    def __init__(
        self, platform: Platform, environment: Environment, release: Release, site: Path | None = None
    ) -> None:
        self.environment = environment
        self.release = release
        self.places: dict[Slot, Place] = {}
        self._platform = platform
        self._site = site
        self._tasks: dict[Slot, asyncio.Task[None]] = {}

    @property
    def instances(self) -> Sequence[Instance]:
        """Every Instance there is now."""
        return [place.instance for place in self.places.values() if place.instance]

    def keep(self, instances: Mapping[Slot, Instance | None]) -> None:
        """Watch `instances`, which are running and healthy; None for a slot whose Instance has yet to start."""
        for slot, instance in instances.items():
            state = InstanceState.RUNNING if instance else InstanceState.STARTING
            self.places[slot] = Place(state, self._platform.now(), instance)
            self._tasks[slot] = asyncio.create_task(self._watch(slot))

    async def publish(self) -> None:
        """Point the Route at the Instances that answer now."""
        healthy = [
            place.instance
            for (process, _), place in sorted(self.places.items())
            if process == WEB and place.state is InstanceState.RUNNING and place.instance
        ]
        await self._platform.router.publish([route_of(self.environment, self.release, healthy, self._site)])

    async def let_go(self, slots: Sequence[Slot] | None = None) -> list[Instance]:
        """Stop watching `slots`, or all; their Instances go on and are returned."""
        chosen = list(self.places) if slots is None else [slot for slot in slots if slot in self.places]
        tasks = [self._tasks.pop(slot) for slot in chosen if slot in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        places = [self.places.pop(slot) for slot in chosen]
        return [place.instance for place in places if place.instance]

    async def _watch(self, slot: Slot) -> None:
        while True:
            place = self.places[slot]
            try:
                if place.instance is None:
                    await self._start(slot)
                else:
                    ended = await self._platform.engine.wait(place.instance)
                    await self._ended(slot, place.instance, ended)
            except HostdError as error:
                self._say(slot, f"could not be started: {error.message}")
                await self._wait(slot)
            except Exception:  # noqa: BLE001 (one slot's bug must not end the watching of it)
                _log.exception("watching %s %s failed", self.environment.label, slot)
                await self._wait(slot)

    async def _start(self, slot: Slot) -> None:
        instance = await self._platform.engine.start(
            spec_of(self._platform, self.environment, self.release, slot)
        )
        self._put(slot, InstanceState.STARTING, instance)
        try:
            if slot[0] == WEB:
                await wait_healthy(self._platform, self.environment, instance)
        except BaseException:
            self._put(slot, InstanceState.CRASHED, None)
            await asyncio.shield(self._platform.engine.stop(instance, 0))
            raise
        self._put(slot, InstanceState.RUNNING, instance)
        await self.publish()

    async def _ended(self, slot: Slot, instance: Instance, ended: Exit) -> None:
        ran = self._platform.now().timestamp() - instance.started_at
        self._say(slot, _ending(ended))
        if ran >= CALM:
            self._put(slot, InstanceState.CRASHED, None, lambda _: 0)
        self._put(slot, InstanceState.CRASHED, None)
        await self.publish()
        await self._platform.engine.stop(instance, 0)
        await self._wait(slot)

    async def _wait(self, slot: Slot) -> None:
        """Wait before the next start: 1, 2, 4, ... LONGEST_WAIT seconds."""
        restarts = self.places[slot].restarts
        self._put(slot, InstanceState.CRASHED, None, lambda count: count + 1)
        await asyncio.sleep(min(LONGEST_WAIT, 2.0 ** min(restarts, 10)))

    def _put(
        self,
        slot: Slot,
        state: InstanceState,
        instance: Instance | None,
        restarts: Callable[[int], int] = lambda count: count,
    ) -> None:
        count = restarts(self.places[slot].restarts)
        self.places[slot] = Place(state, self._platform.now(), instance, count)

    def _say(self, slot: Slot, text: str) -> None:
        process, number = slot
        line = f"{process}.{number} {text}"
        at = self._platform.now().timestamp()
        self._platform.note(LogLine(at, self.environment.label, "hostd", process, "", line))


def adopted(instances: Sequence[Instance]) -> dict[Slot, Instance | None]:
    """Running Instances by the slot they hold."""
    return {slot_of(instance): instance for instance in instances}


def _ending(ended: Exit) -> str:
    if ended.limit == "memory":
        return "was killed: out of memory (R15)"
    return f"exited with status {ended.status}"
