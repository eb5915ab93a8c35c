"""Bringing what runs in step with what should: at the start of hostd, and every RECONCILE_EVERY seconds after.

Deciding is `difference`, a pure function; doing is safe to repeat.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hostd.control.domains import publish_domains
from hostd.control.formers import addresses_of, publish_addresses
from hostd.control.keeper import Keeper
from hostd.control.launching import Slot, grace_of, site_of, slot_of, slots_of
from hostd.control.platform import Platform
from hostd.control.previews import forget_logs, remove_unfinished, sweep_previews
from hostd.control.removal import remove_files_of_gone
from hostd.control.routing import route_of
from hostd.control.tidying import tidy
from hostd.errors import HostdError
from hostd.model.app import Environment
from hostd.model.instance import Instance
from hostd.model.release import Release, ReleaseState
from hostd.model.route import ToInstances
from hostd.store import apps, builds, environments, formation, releases

RECONCILE_EVERY = 30.0  # seconds
STRAY_AGE = 60.0  # seconds after its start in which an Instance may yet belong to nobody
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desired:
    """What the store wants of one Environment: its live Release, if it has one, in these slots."""

    environment: Environment
    release: Release | None
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Actions:
    """`adopt`: by Environment id, each wanted slot with its running Instance or None. `stop`: nobody wants these."""

    adopt: Mapping[int, Mapping[Slot, Instance | None]]
    stop: tuple[Instance, ...]


def difference(desired: Sequence[Desired], actual: Sequence[Instance]) -> Actions:
    """What to do so that `actual` becomes `desired`. Of two Instances in one slot the one started last stays."""
    running = {
        (instance.spec.environment, instance.spec.release, slot_of(instance)): instance
        for instance in sorted(actual, key=lambda instance: instance.started_at)
    }
    adopt = {
        want.environment.id: {
            slot: running.pop((want.environment.label, want.release.origin, slot), None)
            for slot in want.slots
        }
        for want in desired
        if want.release
    }
    wanted = {instance.id for slots in adopt.values() for instance in slots.values() if instance}
    return Actions(adopt, tuple(instance for instance in actual if instance.id not in wanted))


async def recover(platform: Platform) -> None:
    """At start: settle what was cut off, adopt what runs, start what is missing, stop what is not wanted."""
    await platform.db.call(builds.interrupt_running, platform.now())
    for release in await platform.db.read(releases.starting, platform.secrets.decrypt_mapping):
        cut_off = release.move(ReleaseState.FAILED, "hostd was stopped during the rollout")
        await platform.db.call(releases.move, cut_off)
    await remove_unfinished(platform)
    for app in await platform.db.read(apps.list_all):
        await platform.repositories.create(app)  # its creation may have been cut off
    desired = [await _desired(platform, item) for item in await platform.db.read(environments.every)]
    actions = difference(desired, await _of_formations(platform))
    table = await platform.router.table()
    async with asyncio.TaskGroup() as tasks:
        for want in desired:
            route = table.get(want.environment.host)
            asleep = route is not None and isinstance(route.target, ToInstances) and route.target.asleep
            slots = actions.adopt.get(want.environment.id, {})
            tasks.create_task(_adopt(platform, want, slots, asleep))
    await _withdraw_strangers(platform, desired)
    # once for an App
    platform.untidy.update(want.environment.id for want in desired if not want.environment.preview)
    platform.later(_clear_away(platform, actions.stop))


async def keep_reconciling(platform: Platform) -> None:
    """Remove what nobody wants, for ever: Previews whose time is over, Instances of what was destroyed or left by a
    rollout that was cut off, logs without an Environment. And see that Routes are as they should be."""
    while True:
        await asyncio.sleep(RECONCILE_EVERY)
        try:
            await sweep_previews(platform)
            await _stop_strays(platform)
            await _repair_routes(platform)
            await forget_logs(platform)
            await _tidy_up(platform)
        except HostdError as error:
            _log.warning("reconciling failed: %s", error.message)
        except Exception:  # noqa: BLE001 (a bug met once must not end the reconciling for good)
            _log.exception("reconciling failed")


async def _tidy_up(platform: Platform) -> None:
    """Not right after a push: the next one may be on its way, and it is not to wait."""
    for environment in await platform.db.read(environments.every):
        if environment.id in platform.untidy:
            platform.untidy.discard(environment.id)
            await tidy(platform, environment)


async def _desired(platform: Platform, environment: Environment) -> Desired:
    live = await platform.db.read(releases.live, environment.id, platform.secrets.decrypt_mapping)
    quantities = await platform.db.read(formation.of, environment.id)
    return Desired(environment, live, tuple(slots_of(live, quantities)) if live else ())


async def _adopt(
    platform: Platform, want: Desired, slots: Mapping[Slot, Instance | None], asleep: bool
) -> None:
    if want.release is None:
        return await platform.router.publish([route_of(want.environment, None, [])])
    try:
        site = site_of(platform, want.environment, want.release)
    except HostdError as error:
        _log.error("%s: %s", want.environment.label, error.message)
        site = None
    addresses = await addresses_of(platform, want.environment, want.release)
    keeper = Keeper(platform, want.environment, want.release, site, addresses)
    platform.keepers[want.environment.id] = keeper
    keeper.keep(slots, asleep=asleep)
    await keeper.publish()


async def _withdraw_strangers(platform: Platform, desired: Sequence[Desired]) -> None:
    known = {want.environment.host for want in desired}
    known.update(await publish_domains(platform), await publish_addresses(platform))
    strangers = [host for host in await platform.router.table() if host not in known]
    if strangers:
        await platform.router.withdraw(strangers)


async def _stop_strays(platform: Platform) -> None:
    """Only of Environments at rest: what a rollout is starting belongs to nobody yet."""
    kept = {instance.id for keeper in platform.all_keepers for instance in keeper.instances}
    kept |= platform.leaving
    busy = {
        keeper.environment.label
        for keeper in platform.keepers.values()
        if platform.lock(keeper.environment).locked()
    }
    for environment in await platform.db.read(environments.every):
        if platform.lock(environment).locked():
            busy.add(environment.label)
    for instance in await _of_formations(platform):
        old = platform.now().timestamp() - instance.started_at > STRAY_AGE
        if instance.id not in kept and instance.spec.environment not in busy and old:
            await _stop(platform, instance)


async def _repair_routes(platform: Platform) -> None:
    """Of Environments at rest: what could not be published when it changed."""
    table = await platform.router.table()
    for keeper in platform.all_keepers:
        if keeper.at_rest and any(table.get(route.host) != route for route in keeper.routes()):
            await keeper.publish()


async def _of_formations(platform: Platform) -> Sequence[Instance]:
    """All that runs, without the Runs that somebody awaits the end of."""
    running = await platform.engine.instances()
    return [each for each in running if not (each.spec.one_off and slot_of(each)[1] in platform.following)]


async def _clear_away(platform: Platform, strays: Sequence[Instance]) -> None:
    await asyncio.gather(*(_stop(platform, stray) for stray in strays))
    await remove_files_of_gone(platform)


async def _stop(platform: Platform, instance: Instance) -> None:
    await platform.engine.stop(instance, grace_of(instance))
