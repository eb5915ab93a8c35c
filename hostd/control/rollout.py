"""Making a Release live: start, healthy, switch, drain. Until the switch the Release before goes on serving.

The order is what makes it safe: the new Instances answer before the Route points at them, the Route points at them
before the old ones are told to go, and the store says LIVE only after the switch.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from sqlalchemy import Connection

from hostd.control.formers import addresses_of, step_down, taken_over
from hostd.control.keeper import Keeper
from hostd.control.launching import (
    RELEASE_COMMAND,
    Slot,
    drop_site,
    run_release_command,
    site_of,
    slots_of,
    spec_of,
    wait_healthy,
)
from hostd.control.overlap import MakeWay, succession, without_overlap
from hostd.control.platform import Platform
from hostd.control.routing import WEB, route_of
from hostd.control.stopping import drain, kill_all
from hostd.control.turns import to_the_end
from hostd.errors import HostdError, RolloutFailed
from hostd.model.app import Environment
from hostd.model.instance import Instance
from hostd.model.release import Release, ReleaseState
from hostd.store import formation as formations
from hostd.store import releases
from hostd.transcript import Transcript

SETTLE = 0.5  # seconds that a process without a port has to survive
TAIL = 20  # lines of a failed Instance that the pusher sees


Trial = Callable[[Keeper | None, Sequence[Slot]], AbstractAsyncContextManager[Mapping[Slot, Instance]]]


@asynccontextmanager
async def untried(_: Keeper | None, __: Sequence[Slot]) -> AsyncIterator[Mapping[Slot, Instance]]:
    """No trial."""
    yield {}


async def rollout(
    platform: Platform,
    environment: Environment,
    release: Release,
    transcript: Transcript,
    also: Callable[[Connection], None] = lambda _: None,
    trial: Trial = untried,
) -> Release:
    """Make `release` (STARTING) live; what `also` writes is stored in the same transaction. What `trial` has started
    and found good is not started again.

    Raises RolloutFailed, CanaryFailed, Unavailable; then nothing of it is left running and nothing was written. Who is
    cancelled once the Route points at it is so only after it went live.
    """
    async with (
        succession(platform, environment, transcript) as make_way,
        taken_over(platform, environment, release) as there,
    ):
        try:
            with transcript.phase(f"Launching {release.name}"):
                keeper = await _launch(platform, environment, release, there, transcript, make_way, trial)
        except BaseException as error:
            await asyncio.shield(_fail(platform, release, error))
            raise
        return await to_the_end(_make_live(platform, environment, release, keeper, also))


async def _make_live(
    platform: Platform,
    environment: Environment,
    release: Release,
    keeper: Keeper,
    also: Callable[[Connection], None],
) -> Release:
    live = release.move(ReleaseState.LIVE)
    former = platform.keepers.get(environment.id)
    try:
        await platform.db.call(_go_live, live, also)
    except BaseException as error:
        await _switch_back(platform, environment, former, keeper)
        with suppress(HostdError):  # a store that cannot take the one may not take the other
            await _fail(platform, release, error)
        raise
    platform.keepers[environment.id] = keeper
    if former:
        step_down(platform, former, live)
    return live


async def _switch_back(
    platform: Platform, environment: Environment, former: Keeper | None, keeper: Keeper
) -> None:
    """What cannot be published or stored is not live: it would be gone after a restart."""
    with suppress(HostdError):  # a router that does not answer: on disk its table is right again
        if former:
            former.relieved = False
            await former.publish()
        else:
            await platform.router.publish([route_of(environment, None, [])])
    await kill_all(platform, await keeper.let_go())
    drop_site(platform, environment, keeper.release)


def _go_live(connection: Connection, live: Release, also: Callable[[Connection], None]) -> None:
    releases.move(connection, live)
    also(connection)


async def _launch(
    platform: Platform,
    environment: Environment,
    release: Release,
    there: Mapping[Slot, Instance],
    transcript: Transcript,
    make_way: MakeWay,
    trial: Trial,
) -> Keeper:
    """Everything up to the switch, the switch included. What is `there` need not be started."""
    await run_release_command(platform, environment, release, transcript)
    slots = slots_of(release, await platform.db.read(formations.of, environment.id))
    missing = [slot for slot in slots if slot not in there]
    addresses = await addresses_of(platform, environment, release)
    keeper = Keeper(platform, environment, release, site_of(platform, environment, release), addresses)
    former = platform.keepers.get(environment.id)
    try:
        async with trial(former, missing) as tried:
            rest = [slot for slot in missing if slot not in tried]
            started = await _start(platform, environment, release, rest, transcript, make_way)
        running = {**there, **tried, **started}
        keeper.keep({slot: running[slot] for slot in slots})
        if surplus := [there[slot] for slot in there if slot not in slots]:
            platform.later(drain(platform, surplus))
    except BaseException:
        drop_site(platform, environment, release)
        raise
    if former:
        former.relieved = True
    try:
        await keeper.publish()
    except BaseException:
        await asyncio.shield(_switch_back(platform, environment, former, keeper))
        raise
    _describe(release, slots, transcript)
    return keeper


async def _start(
    platform: Platform,
    environment: Environment,
    release: Release,
    slots: Sequence[Slot],
    transcript: Transcript,
    make_way: MakeWay,
) -> Mapping[Slot, Instance]:
    """What may not overlap is started once all else is well, so that the gap is as short as can be."""
    alone = without_overlap(release, slots)
    others = [slot for slot in slots if slot[0] not in alone]
    started = await start_all(platform, environment, release, others, transcript)
    if not alone:
        return started
    try:
        await make_way(alone)
        last = [slot for slot in slots if slot[0] in alone]
        return {**started, **await start_all(platform, environment, release, last, transcript)}
    except BaseException:
        await asyncio.shield(kill_all(platform, list(started.values())))
        raise


async def start_all(
    platform: Platform,
    environment: Environment,
    release: Release,
    slots: Sequence[Slot],
    transcript: Transcript,
) -> Mapping[Slot, Instance]:
    """Start `slots` at once and wait until all are healthy. If one fails, none is left; raises its RolloutFailed."""
    started: dict[Slot, Instance] = {}

    async def start(slot: Slot) -> None:
        instance = await platform.engine.start(spec_of(platform, environment, release, slot))
        started[slot] = instance
        if slot[0] == WEB:
            await wait_healthy(platform, environment, instance)
        else:
            await _settle(platform, instance)

    try:
        async with asyncio.TaskGroup() as tasks:
            for slot in slots:
                tasks.create_task(start(slot))
    except BaseExceptionGroup as group:
        error = next((e for e in group.exceptions if isinstance(e, HostdError)), group.exceptions[0])
        await asyncio.shield(_give_up(platform, list(started.values()), transcript))
        raise error from None
    except BaseException:
        await asyncio.shield(kill_all(platform, list(started.values())))
        raise
    return started


async def _settle(platform: Platform, instance: Instance) -> None:
    """A process without a port is well if it is still there after SETTLE seconds, or ended by itself with 0."""
    try:
        async with asyncio.timeout(SETTLE):
            ended = await platform.engine.wait(instance)
    except TimeoutError:
        return
    if ended.status != 0 or ended.limit:
        raise RolloutFailed(f"{instance.spec.process} {ended} at once", hint="above is what it printed last")


async def _fail(platform: Platform, release: Release, error: BaseException) -> None:
    reason = error.message if isinstance(error, HostdError) else "the rollout was cut off"
    await platform.db.call(releases.move, release.move(ReleaseState.FAILED, reason))


async def _give_up(platform: Platform, instances: Sequence[Instance], transcript: Transcript) -> None:
    """Stop what did not get healthy, and show what there is to know about it."""
    for instance in instances:
        lines = platform.engine.tail(instance.id, TAIL)
        process = instance.spec.process
        transcript.step(f"Last lines of {process}" if lines else f"{process} printed nothing")
        for line in lines:
            transcript.detail(line)
    await kill_all(platform, instances)
    for instance in instances:
        ended = await platform.engine.wait(instance)
        if ended.limit:
            transcript.warn(f"{instance.spec.process} hit its limit of {ended.limit}")


def _describe(release: Release, slots: Sequence[Slot], transcript: Transcript) -> None:
    if release.image.static:
        transcript.detail("static files, served by the router")
    elif not any(process == WEB for process, _ in slots):
        transcript.warn("no web process: nothing answers at the app's URL")
    for process in release.image.processes:
        count = sum(1 for name, _ in slots if name == process.name)
        if process.name != RELEASE_COMMAND:
            transcript.detail(f"{process.name} x {count}: {process.command[-1]}")
