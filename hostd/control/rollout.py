"""Making a Release live: start, healthy, switch, drain. Until the switch the Release before goes on serving.

The order is what makes it safe: the new Instances answer before the Route points at them, the Route points at them
before the old ones are told to go, and the store says LIVE only after the switch.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from sqlalchemy import Connection

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
from hostd.control.platform import Platform
from hostd.control.routing import WEB, route_of
from hostd.errors import HostdError, RolloutFailed
from hostd.model.app import Environment
from hostd.model.instance import Instance
from hostd.model.log import LogLine
from hostd.model.release import Release, ReleaseState
from hostd.store import formation as formations
from hostd.store import releases
from hostd.transcript import Transcript

SETTLE = 0.5  # seconds that a process without a port has to survive
DRAIN_LIMIT = 30.0  # seconds for requests that are under way
GRACE = 30.0  # seconds between SIGTERM and SIGKILL
TAIL = 20  # lines of a failed Instance that the pusher sees


async def rollout(
    platform: Platform,
    environment: Environment,
    release: Release,
    transcript: Transcript,
    also: Callable[[Connection], None] = lambda _: None,
) -> Release:
    """Make `release` (STARTING) live; what `also` writes is stored in the same transaction.

    Raises RolloutFailed, Unavailable; then nothing of it is left running and nothing was written.
    """
    try:
        with transcript.phase(f"Launching {release.name}"):
            keeper = await _launch(platform, environment, release, transcript)
    except BaseException as error:
        await asyncio.shield(_fail(platform, release, error))
        raise
    live = release.move(ReleaseState.LIVE)
    former = platform.keepers.get(environment.id)
    try:
        await platform.db.call(_go_live, live, also)
    except BaseException as error:
        await asyncio.shield(_switch_back(platform, environment, former, keeper))
        with suppress(HostdError):  # a store that cannot take the one may not take the other
            await asyncio.shield(_fail(platform, release, error))
        raise
    platform.keepers[environment.id] = keeper
    if former:
        leaving = await former.let_go()
        platform.later(_retire(platform, environment, former.release, leaving))
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
    await stop_all(platform, await keeper.let_go(), 0)
    drop_site(platform, environment, keeper.release)


def _go_live(connection: Connection, live: Release, also: Callable[[Connection], None]) -> None:
    releases.move(connection, live)
    also(connection)


async def _launch(
    platform: Platform, environment: Environment, release: Release, transcript: Transcript
) -> Keeper:
    """Everything up to the switch, the switch included."""
    await run_release_command(platform, environment, release, transcript)
    slots = slots_of(release, await platform.db.read(formations.of, environment.id))
    keeper = Keeper(platform, environment, release, site_of(platform, environment, release))
    try:
        keeper.keep(await start_all(platform, environment, release, slots, transcript))
    except BaseException:
        drop_site(platform, environment, release)
        raise
    former = platform.keepers.get(environment.id)
    if former:
        former.relieved = True
    try:
        await keeper.publish()
    except BaseException:
        await asyncio.shield(_switch_back(platform, environment, former, keeper))
        raise
    _describe(release, slots, transcript)
    return keeper


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
        await asyncio.shield(stop_all(platform, list(started.values()), 0))
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


async def _retire(
    platform: Platform, environment: Environment, release: Release, leaving: Sequence[Instance]
) -> None:
    """Let requests that are under way end, then stop `leaving`."""
    await drain(platform, leaving)
    drop_site(platform, environment, release)


async def drain(platform: Platform, leaving: Sequence[Instance]) -> None:
    """Wait until nothing is under way to `leaving` (at most DRAIN_LIMIT seconds), then stop them."""
    endpoints = [instance.endpoint for instance in leaving if instance.spec.process == WEB]
    ids, waited = {instance.id for instance in leaving}, 0.0
    platform.leaving.update(ids)
    try:
        while waited < DRAIN_LIMIT:
            await asyncio.sleep(0.1)
            waited += 0.1
            if not endpoints or await platform.router.in_flight(endpoints) == 0:
                break
        await stop_all(platform, leaving, GRACE)
    finally:
        platform.leaving.difference_update(ids)


async def stop_all(platform: Platform, instances: Sequence[Instance], grace: float) -> None:
    """Stop `instances` at once; what had to be killed after `grace` seconds (0: at once) is told in the app's log."""
    in_time = await asyncio.gather(*(platform.engine.stop(instance, grace) for instance in instances))
    for instance, ended in zip(instances, in_time, strict=True):
        if grace and not ended:
            process = instance.spec.process
            line = f"{process} did not end within {grace:g} s of SIGTERM and was killed (R12)"
            at = platform.now().timestamp()
            platform.note(LogLine(at, instance.spec.environment, "hostd", process, "", line))


async def _give_up(platform: Platform, instances: Sequence[Instance], transcript: Transcript) -> None:
    """Stop what did not get healthy, and show what there is to know about it."""
    for instance in instances:
        lines = platform.engine.tail(instance.id, TAIL)
        process = instance.spec.process
        transcript.step(f"Last lines of {process}" if lines else f"{process} printed nothing")
        for line in lines:
            transcript.detail(line)
    await stop_all(platform, instances, 0)
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
