"""Looking at Releases and going back to one: a Rollback is a new Release with an old Image and config."""

from collections.abc import Sequence
from pathlib import Path

from hostd.control.access import Action, authorize
from hostd.control.apps import production_of
from hostd.control.platform import Platform
from hostd.control.rollout import rollout
from hostd.errors import Conflict, NotFound
from hostd.model.app import App, Environment, User
from hostd.model.release import Release, ReleaseState
from hostd.store import releases
from hostd.transcript import Transcript


async def releases_of(platform: Platform, app: App, limit: int) -> Sequence[Release]:
    """The last `limit` Releases of production, newest first."""
    environment = await production_of(platform, app)
    return await platform.db.read(releases.recent, environment.id, limit, platform.secrets.decrypt_mapping)


async def rollback(
    platform: Platform, app: App, actor: User, number: int | None, transcript: Transcript
) -> Release:
    """Make the Image and config of Release `number` live again (None: of the one that served before this one).

    Raises NotFound, Conflict for a Release that failed or whose files are gone, RolloutFailed.
    """
    authorize(actor, Action.ROLL_BACK, app)
    environment = await production_of(platform, app)
    async with platform.lock(environment):
        old = await _target(platform, environment, number)
        transcript.commit()
        release = await platform.db.call(
            releases.create,
            environment.id,
            old.image,
            platform.secrets.encrypt_mapping(old.config),
            old.commit,
            f"rollback to {old.name}",
            actor.name,
            platform.now(),
            old.config,
        )
        return await rollout(platform, environment, release, transcript)


async def _target(platform: Platform, environment: Environment, number: int | None) -> Release:
    decrypt = platform.secrets.decrypt_mapping
    if number is not None:
        old = await platform.db.read(releases.by_number, environment.id, number, decrypt)
    else:
        recent = await platform.db.read(releases.recent, environment.id, 200, decrypt)
        retired = [release for release in recent if release.state is ReleaseState.RETIRED]
        if not retired:
            raise NotFound("there is no release to go back to")
        old = retired[0]
    if old.state is ReleaseState.LIVE:
        raise Conflict(f"{old.name} is what runs now")
    if old.state is ReleaseState.FAILED:
        raise Conflict(f"{old.name} failed ({old.failure}): there is nothing to go back to")
    if not _is_there(old):
        raise Conflict(
            f"the image of {old.name} is gone: the last ones are kept", hint="push its commit again"
        )
    return old


def _is_there(release: Release) -> bool:
    return all(Path(path).is_dir() for tree in release.image.trees for path in tree.directories)
