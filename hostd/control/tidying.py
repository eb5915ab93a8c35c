"""Off the deploy path: removing what none of an App's kept Releases uses."""

from contextlib import suppress

from sqlalchemy import Connection

from hostd.control.formers import forget_collected
from hostd.control.platform import Platform
from hostd.control.turns import turn
from hostd.errors import NotFound
from hostd.model.app import Environment
from hostd.model.image import Image
from hostd.model.release import KEPT
from hostd.store import apps, environments, releases
from hostd.store.releases import Decrypt


async def tidy(platform: Platform, environment: Environment) -> None:
    """Drop layers, trees and exports that no kept Release of the App needs; fold and repack where it pays.

    Exports are folded for production alone: branches are made from what it runs. Nothing is held while it waits for
    a Build, so that a slow one keeps nobody from rolling back.
    """
    with suppress(NotFound):  # destroyed before its turn came
        async with turn(platform, environment):
            pass  # git has moved the refs of the push before
        async with platform.building[environment.app_id], platform.sweeping[environment.app_id]:
            app = await platform.db.read(apps.by_id, environment.app_id)
            decrypt = platform.secrets.decrypt_mapping
            for each in await platform.db.read(environments.of_app, app.id):
                await forget_collected(platform, each)
            images = await platform.db.read(_kept, app.id, decrypt)
            images += [following.release.image for following in platform.following.values()]
            await platform.builder.collect(app, images)
            used = {path for image in images for tree in image.trees for path in tree.directories}
            live = await platform.db.read(releases.live, environment.id, decrypt)
            folded = live.commit if live and not environment.preview else None
            await platform.repositories.tidy(app, folded, used)


def _kept(connection: Connection, app_id: int, decrypt: Decrypt) -> list[Image]:
    """The Images of what may run (again) in any of the App's Environments."""
    images = []
    for environment in environments.of_app(connection, app_id):
        images += [release.image for release in releases.kept(connection, environment.id, KEPT, decrypt)]
    return images
