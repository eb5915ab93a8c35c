"""Pinning Releases, so that their Images are kept; and what a Release changed."""

import asyncio
from collections.abc import Sequence

from hostd.control.access import Action, authorize
from hostd.control.launching import image_is_there
from hostd.control.platform import Platform
from hostd.errors import Conflict
from hostd.model.app import App, Environment, User
from hostd.model.changes import Changes, CommitLine, changes_between
from hostd.model.release import Release, ReleaseState
from hostd.store import releases

COMMITS_LIMIT = 50


async def pin(
    platform: Platform, app: App, environment: Environment, actor: User, number: int, pinned: bool
) -> Release:
    """Keep the Image of a Release for as long as it is pinned, or no longer than others' from now on.

    Raises NotFound, Conflict for a Release that failed or whose Image is gone already, LimitExceeded.
    """
    authorize(actor, Action.PIN_RELEASE, app)
    decrypt = platform.secrets.decrypt_mapping
    async with platform.sweeping[app.id]:
        release = await platform.db.read(releases.by_number, environment.id, number, decrypt)
        if pinned and release.state is ReleaseState.FAILED:
            raise Conflict(f"{release.name} failed: there is nothing to keep")
        if pinned and not image_is_there(release):
            raise Conflict(f"the image of {release.name} is gone", hint="push its commit again")
        await platform.db.call(releases.set_pinned, release, pinned)
        platform.untidy.add(environment.id)
        return await platform.db.read(releases.by_number, environment.id, number, decrypt)


async def changes_of(platform: Platform, app: App, release: Release) -> Changes:
    """What `release` changed against the one that served before it."""
    before = await platform.db.read(
        releases.before, release.environment_id, release.number, platform.secrets.decrypt_mapping
    )
    old = before.commit if before else ""
    came = await asyncio.to_thread(_commits, platform, app, release.commit, old)
    went = await asyncio.to_thread(_commits, platform, app, old, release.commit) if old else []
    return changes_between(before, release, came, went)


def _commits(platform: Platform, app: App, new: str, old: str) -> Sequence[CommitLine]:
    with platform.repositories.reader(app) as reader:
        return [CommitLine(*line) for line in reader.commits(new, old, COMMITS_LIMIT)]
