"""A canary: some web Instances of a new Release get a part of the requests, until their time is over or they break.

The turn at the Environment is held meanwhile, and the old Release keeps the Route; it only shares it. So whatever ends
the canary, or hostd, the old Release goes on as if nothing had been.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from hostd.control.access import Action, authorize
from hostd.control.keeper import Keeper
from hostd.control.launching import Slot
from hostd.control.platform import Platform
from hostd.control.rollout import TAIL, start_all
from hostd.control.routing import WEB
from hostd.control.stopping import drain
from hostd.errors import CanaryFailed, HostdError, NotFound
from hostd.model.app import App, Environment, User
from hostd.model.canary import CanaryRule, judge
from hostd.model.instance import Exit, Instance
from hostd.model.release import Release
from hostd.model.route import Share, ToInstances
from hostd.model.traffic import KEPT, Traffic
from hostd.transcript import Transcript

LOOK_EVERY = 1.0  # seconds
SAY_EVERY = 15  # seconds


@dataclass(frozen=True, slots=True)
class CanaryStatus:
    """`new` has had its part of the requests for `elapsed` seconds, `old` the rest; their traffic is of that time, but
    of the last KEPT seconds at most."""

    rule: CanaryRule
    elapsed: int
    new: str
    old: str
    new_traffic: Traffic
    old_traffic: Traffic


class Canary:
    """One that is under way. It ends by its time, its watch, or `decide`."""

    def __init__(
        self, platform: Platform, former: Keeper, release: Release, rule: CanaryRule, transcript: Transcript
    ) -> None:
        self.over = asyncio.Event()
        self._platform = platform
        self._former = former
        self._release = release
        self._rule = rule
        self._transcript = transcript
        self._began = platform.now()
        self._against: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def status(self) -> CanaryStatus:
        """How it stands."""
        now = self._platform.now()
        elapsed = int((now - self._began).total_seconds())
        label, old, new = self._former.environment.label, self._former.release.name, self._release.name
        meter, at, seconds = self._platform.traffic, now.timestamp(), min(KEPT, max(1, elapsed))
        traffic = (meter.of(label, at, seconds, name) for name in (new, old))
        return CanaryStatus(self._rule, elapsed, new, old, *traffic)

    def decide(self, against: str) -> None:
        """End it before its time: for the new Release, or for a reason against it."""
        if not self._against.done():
            self._against.set_result(against)

    async def watch(self, instances: Sequence[Instance]) -> None:
        """Return when the new Release has stood the test, or somebody has said so. Raises CanaryFailed."""
        ends = [asyncio.create_task(self._platform.engine.wait(instance)) for instance in instances]
        signs: set[asyncio.Future[Any]] = {*ends, self._against}
        said = 0
        try:
            while not self._against.done() and (status := self.status).elapsed < self._rule.seconds:
                if status.elapsed >= said + SAY_EVERY:
                    said = status.elapsed
                    self._transcript.detail(_line(status))
                await asyncio.wait(signs, timeout=LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
                self._check([end.result() for end in ends if end.done()])
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        self._transcript.detail(_line(self.status))

    def _check(self, ended: Sequence[Exit]) -> None:
        status = self.status
        if self._against.done():
            against = self._against.result()
        elif ended:
            against = f"{WEB} {ended[0]}"
        else:
            against = judge(self._rule, status.new_traffic, status.old_traffic)
        if against:
            raise CanaryFailed(f"canary failed: {against}", hint=f"{status.old} has all requests again")


@asynccontextmanager
async def trial(
    platform: Platform,
    release: Release,
    rule: CanaryRule,
    transcript: Transcript,
    former: Keeper | None,
    slots: Sequence[Slot],
) -> AsyncIterator[Mapping[Slot, Instance]]:
    """Try some web Instances of `slots` beside `former`; those that stood the test. If what is done with them fails,
    they are stopped too. Raises CanaryFailed, and as `start_all` does."""
    web = [slot for slot in slots if slot[0] == WEB]
    if release.image.static:
        raise CanaryFailed(
            "canary failed: a static site has none: pages of one release would ask for files of the other",
            hint="take [canary] out of hostd.toml, or push with -o canary=0",
        )
    if former is None or not web or not any(process == WEB for process, _ in former.places):
        transcript.detail("no canary: there is nothing to compare with")
        yield {}
        return
    await former.wake()
    some = web[: math.ceil(len(web) * rule.weight / 100)]
    started = await start_all(platform, former.environment, release, some, transcript)
    instances = list(started.values())
    canary = Canary(platform, former, release, rule, transcript)
    platform.canaries[former.environment.id] = canary
    transcript.step(f"{release.name} gets {rule.weight} % of the requests for {rule.seconds} s")
    try:
        former.share = Share(
            release.name, ToInstances(tuple(each.endpoint for each in instances)), rule.weight
        )
        await former.publish()
        await canary.watch(instances)
        yield started
    except BaseException:
        await asyncio.shield(_take_back(platform, former, instances, transcript))
        raise
    finally:
        former.share = None
        del platform.canaries[former.environment.id]
        canary.over.set()


async def _take_back(
    platform: Platform, former: Keeper, instances: Sequence[Instance], transcript: Transcript
) -> None:
    former.share = None
    with suppress(HostdError):  # a router that does not answer: on disk its table is right again
        await former.publish()
    for line in platform.engine.tail(instances[0].id, TAIL):
        transcript.detail(line)
    platform.later(drain(platform, instances))


def canary_of(platform: Platform, environment: Environment) -> Canary:
    """The one that is under way. Raises NotFound."""
    canary = platform.canaries.get(environment.id)
    if canary is None:
        raise NotFound("no canary is under way", hint="to have one: git push -o canary=10 hostd main")
    return canary


def end_canary(
    platform: Platform, app: App, actor: User, environment: Environment, *, promote: bool
) -> CanaryStatus:
    """End it now, for the new Release or against it; how it stood. Raises NotFound if none is under way."""
    authorize(actor, Action.PUSH, app)
    canary = canary_of(platform, environment)
    canary.decide("" if promote else f"{actor.name} ended it")
    return canary.status


async def end_canaries(platform: Platform) -> None:
    """Before hostd ends: the old Releases have all requests again."""
    canaries = list(platform.canaries.values())
    for canary in canaries:
        canary.decide("hostd was stopped")
    await asyncio.gather(*(canary.over.wait() for canary in canaries))


def _line(status: CanaryStatus) -> str:
    new, old = _described(status.new_traffic), _described(status.old_traffic)
    return f"{status.elapsed} s: {status.new} {new}; {status.old} {old}"


def _described(traffic: Traffic) -> str:
    p95 = traffic.percentile(95)
    latency = "" if p95 is None else f", p95 {p95 * 1000:.0f} ms"
    return f"{traffic.requests} requests, {traffic.errors} of them 5xx{latency}"
