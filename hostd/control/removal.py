"""Taking away what Environments have on this machine. Their records go first: what a crash leaves behind then belongs
to nobody, and reconciling cleans it up as such."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from hostd import mounts
from hostd.control import runs
from hostd.control.formers import forget_all
from hostd.control.launching import drop_site
from hostd.control.platform import Platform
from hostd.model.app import App, Environment
from hostd.model.instance import Instance
from hostd.store import apps

STOP_GRACE = 10.0  # seconds


async def remove_all_of(platform: Platform, gone: Sequence[Environment]) -> None:
    """Routes, Instances, mounts and logs of Environments that are in the store no more."""
    for environment in gone:
        if keeper := platform.keepers.pop(environment.id, None):
            await keeper.let_go()  # or it would start again what is stopped now
            drop_site(platform, environment, keeper.release)
        await forget_all(platform, environment)
    await runs.unfollow(platform, gone)
    labels = {environment.label for environment in gone}
    table = await platform.router.table()
    await platform.router.withdraw([host for host, route in table.items() if route.environment in labels])
    async with asyncio.TaskGroup() as tasks:
        for instance in await platform.engine.instances():
            if instance.spec.environment in labels:
                tasks.create_task(_stop(platform, instance))
    for label in labels:
        await asyncio.to_thread(shutil.rmtree, platform.data / "logs" / label, ignore_errors=True)


async def remove_files_of(platform: Platform, app: App) -> None:
    """Repository, exports, builds and mounts of an App that is in the store no more."""
    await platform.repositories.remove(app)
    place = _place(platform, app)
    for mount in mounts.below(place):
        mounts.unmount(mount)
    await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


async def remove_files_of_gone(platform: Platform) -> None:
    """At start: what destroying Apps left when it was cut off."""
    for app in await platform.db.read(apps.destroyed):
        if platform.repositories.path(app).exists() or _place(platform, app).exists():
            await remove_files_of(platform, app)


def _place(platform: Platform, app: App) -> Path:
    return platform.data / "apps" / str(app.id)


async def _stop(platform: Platform, instance: Instance) -> None:
    await platform.engine.stop(instance, STOP_GRACE)
