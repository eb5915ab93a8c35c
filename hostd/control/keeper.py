"""A Keeper keeps one Release: it watches its Instances, owns its Routes, and puts it to sleep and wakes it.

Only Instances that answered are in the Routes. What sleeps are the web Instances; other processes go on, but for a
Preview's, which sleep with its web.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hostd.control.launching import Slot
from hostd.control.platform import Platform
from hostd.control.routing import WEB, route_of
from hostd.control.watch import Place, Watch
from hostd.model.app import Environment
from hostd.model.instance import Instance, InstanceState
from hostd.model.release import Release
from hostd.model.route import Route, Share

SLEEP_GRACE = 10.0  # seconds between SIGTERM and SIGKILL for what is stopped in its sleep
UNDER_WAY = 0.05  # seconds in which a request that was looked up awake is counted by the router
HELD = (InstanceState.FROZEN, InstanceState.RECLAIMED)


class Keeper(Watch):
    """Keeps one Release, live or former, until `let_go`."""

    def __init__(
        self,
        platform: Platform,
        environment: Environment,
        release: Release,
        site: Path | None = None,
        addresses: Sequence[str] = (),
    ) -> None:
        super().__init__(platform, environment, release)
        self.addresses = addresses  # hosts of its own, which stay when another Release is live
        self._site = site
        self.asleep = False
        self.slept_at = platform.now()
        self.reclaimed = False  # in this sleep; also where there was no swap to do it
        self.share: Share | None = None  # what a Release that is tried out gets of the requests
        self.relieved = False  # another Keeper has the Route now: what happens here must not take it back
        self._rest = asyncio.Lock()

    @property
    def hosts(self) -> Sequence[str]:
        """Every host that leads to it now."""
        return self.addresses if self.relieved else (self.environment.host, *self.addresses)

    @property
    def changing(self) -> bool:
        """Whether it is just falling asleep or waking, which may have to wait for room."""
        return self._rest.locked()

    @property
    def at_rest(self) -> bool:
        """Whether nobody is changing its Environment, nor it itself: then it may be changed without a wait."""
        return not self.changing and not self._platform.lock(self.environment).locked()

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

    async def let_go(self, slots: Sequence[Slot] | None = None) -> list[Instance]:
        """Stop watching `slots`, or all and the Routes; their Instances go on and are returned.

        For some slots it waits for a wake to end; all of them are let go in the middle of it.
        """
        if slots is None:
            self.relieved, self.addresses = True, ()
            return await self._let_go(list(self.places))
        async with self._rest:
            return await self._let_go([slot for slot in slots if slot in self.places])
