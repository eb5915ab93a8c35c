"""Off the deploy path: removing what none of an App's kept Releases uses."""

from hostd.control.platform import Platform
from hostd.model.app import Environment
from hostd.store import apps, releases

KEPT_RELEASES = 10


async def tidy(platform: Platform, environment: Environment) -> None:
    """Drop layers, trees and exports that the last KEPT_RELEASES do not need; fold and repack where it pays."""
    app = await platform.db.read(apps.by_id, environment.app_id)
    async with platform.lock(environment):
        decrypt = platform.secrets.decrypt_mapping
        kept = await platform.db.read(releases.recent, environment.id, KEPT_RELEASES, decrypt)
        live = await platform.db.read(releases.live, environment.id, decrypt)
        images = [release.image for release in (*kept, *([live] if live else []))]
        await platform.builder.collect(app, images)
        used = {path for image in images for tree in image.trees for path in tree.directories}
        if live:
            await platform.repositories.tidy(app, live.commit, used)
