"""Former Releases of production. Each that went live keeps an address, vN--APP.BASE, as long as its Image is kept.

Nothing of it runs until somebody asks for that address: then one web Instance starts, and stops again in the end. The
one that served last is kept frozen for a while, so that a Rollback to it has only to thaw it. Releases that repeat
one another have one Image and one config: whatever runs of them, live or not, answers at the addresses of all.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress

from hostd.control.keeper import Keeper
from hostd.control.launching import Slot, drop_site, site_of, wait_healthy
from hostd.control.platform import Platform
from hostd.control.routing import WEB
from hostd.control.stopping import drain, kill_all, quiet
from hostd.errors import HostdError, NotFound
from hostd.model.app import PRODUCTION, Environment
from hostd.model.instance import Instance, InstanceState
from hostd.model.release import KEPT, Release
from hostd.model.route import Route, ToInstances
from hostd.store import apps, environments, releases

IDLE = 300.0  # seconds without a request until one that somebody asked for is frozen
ROLLBACK_WINDOW = 600.0  # seconds without a request until what is frozen is stopped
ROOM = 4  # times the memory that one holds has to be free for it to be kept frozen
THAW_LIMIT = 2.0  # seconds in which what was thawed has to answer


async def addresses_of(platform: Platform, environment: Environment, release: Release) -> Sequence[str]:
    """The hosts that `release` keeps, those of the Releases it repeats among them. A Preview's has none."""
    if environment.preview:
        return ()
    numbers = {release.number}
    if release.repeats:
        kept, _ = await platform.db.read(releases.addressable, environment.id, KEPT)
        numbers |= {number for number, origin in kept.items() if origin == release.origin}
    return [platform.names.release_host(environment.app, number) for number in sorted(numbers)]


async def url_of(platform: Platform, environment: Environment, release: Release) -> str | None:
    """Where `release` answers; None if it never went live, its Image is gone, or it is a Preview's."""
    kept, _ = await platform.db.read(releases.addressable, environment.id, KEPT)
    if environment.preview or release.number not in kept:
        return None
    return platform.names.url_of(platform.names.release_host(environment.app, release.number))


def step_down(platform: Platform, former: Keeper, live: Release) -> None:
    """Once another Release is live: `former` keeps the addresses of its own, and stops in a while."""
    environment, origin = former.environment, former.release.origin
    if environment.preview or origin == live.origin:
        platform.later(_end(platform, former))
        return
    platform.formers[environment.id, origin] = former
    platform.later(_settle(platform, former))


@asynccontextmanager
async def taken_over(
    platform: Platform, environment: Environment, release: Release
) -> AsyncIterator[Mapping[Slot, Instance]]:
    """The web Instances that there are of what `release` repeats, awake and answering, for a rollout of it within.

    If that fails, they are stopped. The caller holds the Environment's lock.
    """
    async with _lock(platform, environment) if release.repeats else nullcontext():
        former = platform.formers.get((environment.id, release.origin))
        handed = await former.hand_over() if former else {}
        platform.formers.pop((environment.id, release.origin), None)
        try:
            yield await _answering(platform, environment, handed)
        except BaseException:
            live = platform.keepers.get(environment.id)
            if live is None or live.release.id != release.id:
                await asyncio.shield(_undo(platform, environment, release, list(handed.values())))
            raise


async def keeper_at(platform: Platform, host: str) -> Keeper | None:
    """Who keeps what answers at `host`. A former Release that nobody has asked for so far gets its Keeper here."""
    if known := _known(platform, host):
        return known
    parts = re.fullmatch(rf"v([0-9]{{1,9}})--([a-z0-9-]+)\.{re.escape(platform.names.base)}", host)
    if parts is None:
        return None
    with suppress(NotFound):
        app = await platform.db.read(apps.by_name, parts[2])
        production = await platform.db.read(environments.by_name, app.id, PRODUCTION)
        async with _lock(platform, production):  # after a Rollback it may be the live one's
            environment = await platform.db.read(environments.by_id, production.id)
            return _known(platform, host) or await _open(platform, environment, int(parts[1]))
    return None


async def rest(platform: Platform, former: Keeper, idle: float) -> None:
    """Let `former`, which nobody has asked for in `idle` seconds, IDLE at least, sleep, and stop it in the end.

    The caller holds the Environment's lock.
    """
    if former.release.image.static:
        await _put_away(platform, former)
    elif former.asleep:
        if idle > ROLLBACK_WINDOW and former.instances:
            await former.stop_web()
    elif not await _freeze(platform, former) and _unwell(former):
        await former.stop_web()


async def publish_addresses(platform: Platform) -> Sequence[str]:
    """At start: every former Release sleeps. All hosts that Releases have, also those that are live."""
    hosts, routes = list[str](), list[Route]()
    for environment in await platform.db.read(environments.every):
        if environment.preview:
            continue
        kept, _ = await platform.db.read(releases.addressable, environment.id, KEPT)
        live = platform.keepers.get(environment.id)
        for number, origin in kept.items():
            host = platform.names.release_host(environment.app, number)
            hosts.append(host)
            if live is None or origin != live.release.origin:
                routes.append(_asleep(environment, number, host))
    if routes:
        await platform.router.publish(routes)
    return hosts


async def forget_collected(platform: Platform, environment: Environment) -> None:
    """Withdraw the addresses of Releases whose Image is about to be removed, and stop what runs of them."""
    kept, gone = await platform.db.read(releases.addressable, environment.id, KEPT)
    for key, former in list(platform.formers.items()):
        if key[0] == environment.id and key[1] not in kept.values():
            del platform.formers[key]
            platform.later(_end(platform, former))
    if gone and not environment.preview:
        await platform.router.withdraw([platform.names.release_host(environment.app, n) for n in gone])


async def forget_all(platform: Platform, environment: Environment) -> None:
    """Let go of all former Releases of an Environment that is no more. Their Instances and Routes are left."""
    async with _lock(platform, environment):
        for key, former in list(platform.formers.items()):
            if key[0] == environment.id:
                del platform.formers[key]
                await former.let_go()
                drop_site(platform, environment, former.release)


def _lock(platform: Platform, environment: Environment) -> asyncio.Lock:
    """Held while it is decided who keeps a former Release: not for the time of a Build, as visitors wait for it."""
    return platform.locks[f"{environment.label} formers"]


def _known(platform: Platform, host: str) -> Keeper | None:
    return next((keeper for keeper in platform.all_keepers if host in keeper.hosts), None)


async def _open(platform: Platform, environment: Environment, number: int) -> Keeper | None:
    kept, _ = await platform.db.read(releases.addressable, environment.id, KEPT)
    if number not in kept:
        return None
    release = await platform.db.read(
        releases.by_number, environment.id, number, platform.secrets.decrypt_mapping
    )
    hosts = [
        platform.names.release_host(environment.app, each)
        for each, origin in kept.items()
        if origin == release.origin
    ]
    former = Keeper(platform, environment, release, site_of(platform, environment, release), hosts)
    former.relieved = True
    former.expect_web()
    await former.publish()
    platform.formers[environment.id, release.origin] = former
    return former


async def _settle(platform: Platform, former: Keeper) -> None:
    """What is no web process stops; web Instances end what is under way, and are frozen."""
    if former.asleep and former.changing:  # who waits for it had better get the live one
        return await _cut_off(platform, former)
    workers = await former.let_go([slot for slot in former.places if slot[0] != WEB])
    platform.later(drain(platform, workers))
    if former.release.image.static:
        await _put_away(platform, former)
    elif former.instances and await quiet(platform, former.instances) and _roomy(platform, former):
        await _freeze(platform, former)
    else:
        await former.stop_web()


async def _cut_off(platform: Platform, former: Keeper) -> None:
    platform.formers.pop((former.environment.id, former.release.origin), None)
    hosts = former.addresses
    leaving = await former.let_go()
    await _publish_asleep(platform, former.environment, former.release.origin, hosts)
    await drain(platform, leaving)


async def _freeze(platform: Platform, former: Keeper) -> bool:
    """False if it is busy, or short of room. Of an Environment's former Releases one at most is kept frozen."""
    if not _roomy(platform, former) or not (former.asleep or await former.fall_asleep()):
        return False
    for (environment_id, _), other in list(platform.formers.items()):
        mine = environment_id == former.environment.id and other is not former
        if mine and other.asleep and other.instances:
            await other.stop_web()
    return True


def _roomy(platform: Platform, former: Keeper) -> bool:
    held = sum(platform.engine.held_mb(instance) for instance in former.instances)
    return platform.engine.free_mb() >= ROOM * held


def _unwell(former: Keeper) -> bool:
    return any(place.state is not InstanceState.RUNNING for place in former.places.values())


async def _end(platform: Platform, former: Keeper) -> None:
    await drain(platform, await former.let_go())
    drop_site(platform, former.environment, former.release)


async def _put_away(platform: Platform, former: Keeper) -> None:
    """A static one has nothing that could sleep: its files are taken from the router until somebody asks."""
    key = former.environment.id, former.release.origin
    async with _lock(platform, former.environment):
        if platform.formers.get(key) is former:
            del platform.formers[key]
            await _publish_asleep(platform, former.environment, former.release.origin, former.addresses)
            drop_site(platform, former.environment, former.release)


async def _answering(
    platform: Platform, environment: Environment, handed: Mapping[Slot, Instance]
) -> Mapping[Slot, Instance]:
    """Those that answer at once; the others are stopped."""

    async def answers(instance: Instance) -> bool:
        with suppress(HostdError, TimeoutError):
            async with asyncio.timeout(THAW_LIMIT):
                await wait_healthy(platform, environment, instance)
                return True
        platform.later(kill_all(platform, [instance]))
        return False

    well = await asyncio.gather(*map(answers, handed.values()))
    return {slot: instance for (slot, instance), fit in zip(handed.items(), well, strict=True) if fit}


async def _undo(
    platform: Platform, environment: Environment, release: Release, handed: Sequence[Instance]
) -> None:
    """`release` never had its address; what it repeats sleeps again."""
    await kill_all(platform, handed)
    with suppress(HostdError):  # at the next start it is published anew
        hosts = await addresses_of(platform, environment, release)
        own = platform.names.release_host(environment.app, release.number)
        await _publish_asleep(platform, environment, release.origin, [host for host in hosts if host != own])
        await platform.router.withdraw([host for host in hosts if host == own])


async def _publish_asleep(
    platform: Platform, environment: Environment, number: int, hosts: Sequence[str]
) -> None:
    if hosts:
        await platform.router.publish([_asleep(environment, number, host) for host in hosts])


def _asleep(environment: Environment, number: int, host: str) -> Route:
    target = ToInstances((), asleep=True)
    return Route(host, target, environment.app, f"v{number}", environment.label, noindex=True)
