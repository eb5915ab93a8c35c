"""Liveness: running web Instances are looked at again and again, and one that is not well is replaced.

By default it has to listen on its port still, which is read off the kernel without disturbing it; with `liveness` in
hostd.toml it is asked. One that fails too often leaves the Route if others are well, and goes once its successor
answers. Of one Environment one is replaced at a time, later and later: what makes all of them fail, such as a
database, is not mended by starts.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from hostd.control.keeper import Keeper
from hostd.control.launching import Slot
from hostd.control.platform import Platform
from hostd.control.rollout import start_all
from hostd.control.routing import WEB
from hostd.control.stopping import drain
from hostd.control.watch import CALM, LONGEST_WAIT
from hostd.engine.health import look
from hostd.errors import HostdError
from hostd.model.health import HealthCheck
from hostd.model.instance import Instance, InstanceState
from hostd.transcript import Transcript

LOOK_EVERY = 1.0  # seconds
CALM_CHECKS = (
    4  # so many times as it takes to find out, an Instance has to run for its failures to be forgotten
)
LOOKED_AT = (InstanceState.RUNNING, InstanceState.UNHEALTHY)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patient:
    """An Instance in its slot of a Keeper."""

    keeper: Keeper
    slot: Slot
    instance: Instance

    @property
    def state(self) -> InstanceState | None:
        """Its state; None if it is looked at no more: it sleeps, it ended, it was let go."""
        place = self.keeper.places.get(self.slot)
        there = place is not None and place.instance is self.instance and not self.keeper.asleep
        return place.state if place and there and place.state in LOOKED_AT else None


class Liveness:
    """Looks at every web Instance that runs. `clock` counts seconds."""

    def __init__(self, platform: Platform, clock: Callable[[], float] = time.monotonic) -> None:
        self._platform = platform
        self._clock = clock
        self._due: dict[str, float] = {}  # when an Instance is looked at next, by its id
        self._failed: Counter[str] = Counter()  # how often in a row
        self._treated: dict[int, Patient] = {}  # the one that is being replaced, by Environment id

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self.look(tasks)
                await asyncio.sleep(LOOK_EVERY)

    def look(self, tasks: asyncio.TaskGroup) -> None:
        """Once: look at those whose time has come, each in a task of its own: one may take its time to answer."""
        patients = [
            Patient(keeper, slot, place.instance)
            for keeper in self._platform.keepers.values()
            for slot, place in ({} if keeper.asleep else keeper.places).items()
            if slot[0] == WEB and place.instance
        ]
        for gone in self._due.keys() - {patient.instance.id for patient in patients}:
            del self._due[gone], self._failed[gone]
        for patient in patients:
            name = patient.instance.id
            if self._due.get(name, 0.0) > self._clock():
                continue
            check = HealthCheck.of(patient.keeper.release.image.labels)
            if name not in self._due:
                self._due[name] = self._clock() + check.interval_seconds
            elif patient.state:
                self._due[name] = float("inf")
                tasks.create_task(self._look_at(patient, check))

    async def _look_at(self, patient: Patient, check: HealthCheck) -> None:
        name = patient.instance.id
        try:
            trouble = await self._trouble(patient, check)
            if patient.state:
                await self._note(patient, check, trouble)
        except HostdError as error:
            _log.warning("%s: %s", name, error.message)
        except Exception:  # noqa: BLE001 (a bug met once must not end the looking for good)
            _log.exception("looking at %s failed", name)
        finally:
            self._due[name] = self._clock() + check.interval_seconds

    async def _trouble(self, patient: Patient, check: HealthCheck) -> str:
        """What is wrong with it; "" for nothing."""
        instance = patient.instance
        if not check.liveness:
            port = instance.endpoint.port
            places = await asyncio.to_thread(self._platform.engine.listening, instance)
            well = any(place.endswith(f":{port}") for place in places)
            return "" if well else f"listens no more on port {port}"
        host = patient.keeper.environment.host
        try:
            found = await look(instance, check.liveness, replace(check, expect=""), host)
        except OSError:
            return "takes no connections"
        return f"{found.trouble} on {check.liveness}" if found.trouble else ""

    async def _note(self, patient: Patient, check: HealthCheck, trouble: str) -> None:
        keeper, slot, instance = patient.keeper, patient.slot, patient.instance
        if not trouble:
            del self._failed[instance.id]
            if patient.state is InstanceState.UNHEALTHY:
                keeper.put(slot, InstanceState.RUNNING, instance)
                await keeper.publish()
            return
        self._failed[instance.id] += 1
        if self._failed[instance.id] < check.failures:
            return
        if patient.state is InstanceState.RUNNING:
            keeper.say(slot, f"is unhealthy: it {trouble}, {check.failures} times in a row")
            calm = max(CALM, CALM_CHECKS * check.failures * check.interval_seconds)
            ran_well = self._platform.now().timestamp() - instance.started_at >= calm
            keeper.put(slot, InstanceState.UNHEALTHY, instance, lambda count: 0 if ran_well else count)
            await keeper.publish()
        if patient.state and not self._treats(keeper):
            self._treated[keeper.environment.id] = patient
            keeper.instead(slot, lambda: self._replace(patient))

    def _treats(self, keeper: Keeper) -> bool:
        treated = self._treated.get(keeper.environment.id)
        return treated is not None and treated.keeper is keeper and treated.state is not None

    async def _replace(self, patient: Patient) -> None:
        """Start another one, and then let it go. It may have recovered or ended before its turn comes."""
        keeper, slot, instance = patient.keeper, patient.slot, patient.instance
        try:
            restarts = keeper.places[slot].restarts
            keeper.put(slot, InstanceState.UNHEALTHY, instance, lambda count: count + 1)
            if await self._ends_within(instance, min(LONGEST_WAIT, 2.0 ** min(restarts, 10))):
                return
            if patient.state is not InstanceState.UNHEALTHY or keeper.relieved:
                return
            made = await start_all(self._platform, keeper.environment, keeper.release, [slot], Transcript())
            keeper.put(slot, InstanceState.RUNNING, made[slot])
            keeper.say(slot, "is replaced")
            try:
                await keeper.publish()
            finally:
                self._platform.later(drain(self._platform, [instance]))
        except HostdError as error:
            keeper.say(slot, f"could not be replaced: {error.message}")
        except Exception:  # noqa: BLE001 (a bug met here must not end the watching of the slot)
            _log.exception("replacing %s failed", instance.id)
        finally:
            self._treated.pop(keeper.environment.id, None)

    async def _ends_within(self, instance: Instance, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._platform.engine.wait(instance)
        except TimeoutError:
            return False
        return True
