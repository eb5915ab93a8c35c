"""A Keeper watches the Instances of one live Release: what ends is started again, later and later if it keeps ending.

It also owns the Environment's Route while the Release is live: only Instances that answered are in it. And it puts
the web Instances to sleep and wakes them; other processes go on, but for a Preview's, which sleep with its web.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from hostd.control.launching import Slot, slot_of, spec_of, wait_healthy
from hostd.control.platform import Platform
from hostd.control.routing import WEB, route_of
from hostd.errors import HostdError
from hostd.model.app import Environment
from hostd.model.instance import Exit, Instance, InstanceSpec, InstanceState
from hostd.model.log import LogLine
from hostd.model.release import Release
from hostd.model.route import Route, Share

CALM = 60.0  # seconds an Instance has to run for its crashes to be forgotten
LONGEST_WAIT = 300.0  # seconds
SLEEP_GRACE = 10.0  # seconds between SIGTERM and SIGKILL for what is stopped in its sleep
UNDER_WAY = 0.05  # seconds in which a request that was looked up awake is counted by the router
HELD = (InstanceState.FROZEN, InstanceState.RECLAIMED)
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
        self,
        platform: Platform,
        environment: Environment,
        release: Release,
        site: Path | None = None,
        addresses: Sequence[str] = (),
    ) -> None:
        self.environment = environment
        self.release = release
        self.addresses = addresses  # hosts of its own, which stay when another Release is live
        self.places: dict[Slot, Place] = {}
        self._platform = platform
        self._site = site
        self._tasks: dict[Slot, asyncio.Task[None]] = {}
        self.asleep = False
        self.slept_at = platform.now()
        self.reclaimed = False  # in this sleep; also where there was no swap to do it
        self._known_mb: dict[Slot, int] = {}  # what the Instance before took
        self.share: Share | None = None  # what a Release that is tried out gets of the requests
        self.relieved = False  # another Keeper has the Route now: what happens here must not take it back
        self._rest = asyncio.Lock()

    @property
    def hosts(self) -> Sequence[str]:
        """Every host that leads to it now."""
        return self.addresses if self.relieved else (self.environment.host, *self.addresses)

    @property
    def instances(self) -> Sequence[Instance]:
        """Every Instance there is now."""
        return [place.instance for place in self.places.values() if place.instance]

    @property
    def changing(self) -> bool:
        """Whether it is just falling asleep or waking, which may have to wait for room."""
        return self._rest.locked()

    @property
    def holds(self) -> bool:
        """Whether something of it is frozen."""
        return any(place.state in HELD for place in self.places.values())

    def held_mb(self) -> int:
        """Memory in MB that would be free if it were stopped in its sleep."""
        held = (place.instance for _, place in self._held() if place.instance)
        return sum(self._platform.engine.held_mb(instance) for instance in held)

    def keep(self, instances: Mapping[Slot, Instance | None], *, asleep: bool = False) -> None:
        """Watch `instances`, which are running and healthy; None for a slot whose Instance has yet to start.

        `asleep`: the Route says so; then what is not there was stopped in its sleep, unless a web Instance runs.
        """
        frozen = {slot for slot, one in instances.items() if one and self._platform.engine.frozen(one)}
        awake = any(one and slot[0] == WEB and slot not in frozen for slot, one in instances.items())
        stopped = asleep and not awake
        self.asleep = self.asleep or bool(frozen) or stopped
        for slot, instance in instances.items():
            if instance:
                state = InstanceState.FROZEN if slot in frozen else InstanceState.RUNNING
            else:
                state = InstanceState.STOPPED if stopped and self.sleeps(slot[0]) else InstanceState.STARTING
            self.places[slot] = Place(state, self._platform.now(), instance)
            if state is not InstanceState.STOPPED:
                self._tasks[slot] = asyncio.create_task(self._watch(slot))

    async def publish(self) -> None:
        """Point its Routes at the Instances that answer now."""
        if routes := self.routes():
            await self._platform.router.publish(routes)

    def routes(self) -> Sequence[Route]:
        """Where its hosts go now; not the Environment's once another Keeper has that."""
        healthy = self._in(InstanceState.RUNNING, *HELD) or self._in(InstanceState.UNHEALTHY)
        scaled_up = bool(self._web())  # else there is nothing to wake
        state = {"asleep": self.asleep and scaled_up, "scaled_up": scaled_up}
        route = route_of(self.environment, self.release, healthy, self._site, share=self.share, **state)
        own = [replace(route, host=host, noindex=True, password="", share=None) for host in self.addresses]
        return own if self.relieved else [route, *own]

    async def fall_asleep(self) -> bool:
        """Freeze the web Instances, if all run and nothing is under way to them, and what sleeps with them.

        Raises Unavailable; then they run.
        """
        async with self._rest:
            web = self._web()
            if self.asleep or not web or any(place.state is not InstanceState.RUNNING for _, place in web):
                return False
            await self._set_asleep(True)
            self.slept_at = self._platform.now()
            quiet = self.reclaimed = False
            try:
                quiet = await self._freeze()
            finally:
                if not quiet:
                    await self._thaw()
                    self._watch_others()
                    await self._set_asleep(False)
            return quiet

    async def wake(self) -> None:
        """Let the web Instances go on, or start them if they were stopped in their sleep. Raises HostdError.

        Of many who ask at once one wakes, the others wait for it. The Route follows a moment later: until then
        requests that ask again are told at once.
        """
        if not self.asleep:
            return
        async with self._rest:
            if not self.asleep:
                return
            await self._thaw()
            self._watch_others()
            try:
                await self._start_stopped()
            finally:
                self.asleep = False
                self._platform.later(self.publish())

    async def thaw(self) -> None:
        """Before hostd ends: what is frozen goes on, so that it answers without hostd. What was stopped stays so.

        A wake that waits for room is not waited for.
        """
        awake = all(place.state is InstanceState.RUNNING for _, place in self._web())
        if not awake and not self.holds:
            return
        async with self._rest:
            if self.holds:
                await self._thaw()
                await self._set_asleep(False)

    async def reclaim(self) -> None:
        """Move the memory of what is frozen to swap, once per sleep. A wake need not wait for it: no lock is held."""
        if self.reclaimed:
            return
        self.reclaimed = True
        for slot, place in self._held():
            assert place.instance
            if await self._platform.engine.reclaim(place.instance) and self.places.get(slot) is place:
                self.put(slot, InstanceState.RECLAIMED, place.instance)

    async def stop_frozen(self) -> None:
        """Stop what sleeps; the next request starts it."""
        async with self._rest:
            frozen = self._held()
            if not frozen:
                return
            instances = {slot: place.instance for slot, place in frozen if place.instance}
            self._known_mb |= {slot: self._platform.engine.held_mb(one) for slot, one in instances.items()}
            for slot in instances:
                await self._unwatch(slot)
            await self.publish()
            await asyncio.gather(
                *(self._platform.engine.stop(instance, SLEEP_GRACE) for instance in instances.values())
            )

    def expect_web(self) -> None:
        """Have a web Instance that was stopped in its sleep, if the Release has such a process."""
        if self.release.image.process(WEB):
            self.places[WEB, 1] = Place(InstanceState.STOPPED, self._platform.now(), None)
            self.asleep = True

    async def stop_web(self) -> None:
        """Stop the web Instances, whatever they do; the next request starts one."""
        async with self._rest:
            leaving = await self._let_go([slot for slot, _ in self._web()])
            self.expect_web()
            await self.publish()
        for instance in leaving:
            await self._platform.engine.stop(instance, SLEEP_GRACE)

    async def hand_over(self) -> Mapping[Slot, Instance]:
        """Let go of everything, awake; the web Instances that run, for a Keeper of the same Image and config."""
        async with self._rest:
            await self._thaw()
            running = {
                slot: place.instance
                for slot, place in self._web()
                if place.state is InstanceState.RUNNING and place.instance
            }
            await self.let_go()
        return running

    def _web(self) -> list[tuple[Slot, Place]]:
        return [(slot, place) for slot, place in sorted(self.places.items()) if slot[0] == WEB]

    def sleeps(self, process: str) -> bool:
        """Whether Instances of `process` sleep too: in production those of web alone."""
        return process == WEB or self.environment.preview

    def _in(self, *states: InstanceState) -> list[Instance]:
        return [place.instance for _, place in self._web() if place.state in states and place.instance]

    def _held(self) -> list[tuple[Slot, Place]]:
        return [(slot, place) for slot, place in sorted(self.places.items()) if place.state in HELD]

    async def _freeze(self) -> bool:
        """False if a request is under way, before or after: then it has to be thawed again."""
        await asyncio.sleep(UNDER_WAY)
        if await self._busy():
            return False
        for slot in list(self.places):
            place = self.places.get(slot)  # it may be let go meanwhile
            if place is None or not self.sleeps(slot[0]):
                continue
            if place.instance and place.state is InstanceState.RUNNING:
                await self._platform.engine.freeze(place.instance)
                if slot in self.places:
                    self.put(slot, InstanceState.FROZEN, place.instance)
            else:
                await self._unwatch(slot)  # it crashed: it is not to be started while all others sleep
        return not await self._busy()

    async def _unwatch(self, slot: Slot) -> None:
        """Its place stays, as that of an Instance that was stopped."""
        task = self._tasks.pop(slot)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.put(slot, InstanceState.STOPPED, None)

    def _watch_others(self) -> None:
        """Start what was stopped beside the web, and do not wait for it."""
        for slot, place in self.places.items():
            if place.state is InstanceState.STOPPED and slot[0] != WEB:
                self._tasks[slot] = asyncio.create_task(self._watch(slot))

    async def _busy(self) -> bool:
        endpoints = [place.instance.endpoint for _, place in self._web() if place.instance]
        return await self._platform.router.in_flight(endpoints) > 0

    async def _set_asleep(self, asleep: bool) -> None:
        self.asleep = asleep
        await self.publish()

    async def _thaw(self) -> None:
        for slot, place in self._held():
            assert place.instance
            await self._platform.engine.thaw(place.instance)
            self.put(slot, InstanceState.RUNNING, place.instance)

    async def _start_stopped(self) -> None:
        """Whether a start succeeds or not, its slot is watched as any other from then on."""
        stopped = [slot for slot, place in self._web() if place.state is InstanceState.STOPPED]
        starts = {slot: asyncio.create_task(self._start(slot)) for slot in stopped}
        self._tasks.update(starts)  # `let_go` ends them
        try:
            results = await asyncio.gather(*starts.values(), return_exceptions=True)
        finally:
            for slot, start in starts.items():
                if self._tasks.get(slot) is start:  # else it was let go meanwhile
                    self._tasks[slot] = asyncio.create_task(self._watch(slot))
        for result in results:
            if isinstance(result, Exception):
                raise result

    def instead(self, slot: Slot, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` in place of watching `slot`, then watch it again; `let_go` ends either."""
        self._tasks[slot].cancel()
        self._tasks[slot] = asyncio.create_task(self._watch(slot, work))

    async def let_go(self, slots: Sequence[Slot] | None = None) -> list[Instance]:
        """Stop watching `slots`, or all and the Routes; their Instances go on and are returned.

        For some slots it waits for a wake to end; all of them are let go in the middle of it.
        """
        if slots is None:
            self.relieved, self.addresses = True, ()
            return await self._let_go(list(self.places))
        async with self._rest:
            return await self._let_go([slot for slot in slots if slot in self.places])

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


def adopted(instances: Sequence[Instance]) -> dict[Slot, Instance | None]:
    """Running Instances by the slot they hold."""
    return {slot_of(instance): instance for instance in instances}
