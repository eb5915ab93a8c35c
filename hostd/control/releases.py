"""Looking at Releases and going back to one: a Rollback is a new Release with an old Image and config."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from hostd.control.access import Action, authorize
from hostd.control.apps import production_of
from hostd.control.config import config_of
from hostd.control.deploys import how_to_resume, pause_of
from hostd.control.launching import image_is_there
from hostd.control.platform import Platform
from hostd.control.rollout import rollout
from hostd.control.turns import turn
from hostd.errors import Conflict, Invalid, NotFound
from hostd.model.app import App, Environment, User
from hostd.model.pause import Pause
from hostd.model.release import Release, ReleaseState
from hostd.store import pauses, releases
from hostd.transcript import Transcript


async def releases_of(platform: Platform, environment: Environment, limit: int) -> Sequence[Release]:
    """The last `limit` Releases of an Environment, newest first."""
    return await platform.db.read(releases.recent, environment.id, limit, platform.secrets.decrypt_mapping)


async def rollback(
    platform: Platform,
    app: App,
    environment: Environment,
    actor: User,
    number: int | None,
    transcript: Transcript,
    *,
    pause: bool = True,
) -> Release:
    """Make the Image and config of Release `number` live again (None: of the one that served before this one).

    `pause`: deploys are paused from then on, or the next push would bring back what was wrong. Raises
    NotFound, Conflict for a Release that failed or whose files are gone, RolloutFailed.
    """
    authorize(actor, Action.ROLL_BACK, app)
    async with turn(platform, environment, transcript):
        async with platform.sweeping[app.id]:
            old = await _target(platform, environment, number)
            transcript.commit()
            reason = f"rollback to {old.name}"
            release = await _again(platform, environment, old, old.config, reason, actor, old.origin)

        def store(connection: Connection) -> None:
            if pause:
                pauses.begin(connection, environment.id, Pause(actor.name, reason, platform.now()))

        live = await rollout(platform, environment, release, transcript, store)
        config = await config_of(platform, environment)
    if names := sorted({name for name, _ in config.items() ^ old.config.items()}):
        transcript.detail(f"The config is that of {old.name}, with {', '.join(names)} as they were then")
        transcript.detail("The next deploy or change of config has today's values: hostd config list")
    if await pause_of(platform, environment):
        stay = "are" if pause else "stay"
        transcript.step(f"Deploys {stay} paused; to resume: {how_to_resume(environment)}")
    return live


async def promote(
    platform: Platform, app: App, preview: Environment, actor: User, transcript: Transcript
) -> Release:
    """Make what runs in a Preview of `app` live in production: the very same Image, with production's config.

    The production branch stays where it is, and the transcript says so. Raises Invalid for what is no Preview of
    `app`, Conflict if nothing runs there, RolloutFailed.
    """
    authorize(actor, Action.PROMOTE, app)
    if preview.app_id != app.id or not preview.preview:
        raise Invalid(f"only a preview of {app.name} can be promoted", hint="hostd previews list")
    production = await production_of(platform, app)
    async with turn(platform, production, transcript):
        async with platform.sweeping[app.id]:
            tried = await platform.db.read(releases.live, preview.id, platform.secrets.decrypt_mapping)
            if tried is None:
                raise Conflict(f"nothing runs in the preview of {preview.branch}")
            transcript.step(f"Promoting {tried.name} of {preview.branch} ({tried.commit[:7]}) to production")
            transcript.commit()
            config = await config_of(platform, production)
            reason = f"promoted {preview.branch} {tried.name}"
            release = await _again(platform, production, tried, config, reason, actor)
        live = await rollout(platform, production, release, transcript)
    transcript.step(f"{platform.names.url(production)} is running {live.name}")
    transcript.detail(
        f"{app.production_branch} stays where it is: merge {preview.branch} before its next push"
    )
    return live


async def _again(
    platform: Platform,
    environment: Environment,
    old: Release,
    config: Mapping[str, str],
    reason: str,
    actor: User,
    repeats: int | None = None,
) -> Release:
    """A new Release with the Image of an old one."""
    return await platform.db.call(
        releases.create,
        environment.id,
        old.image,
        platform.secrets.encrypt_mapping(config),
        old.commit,
        reason,
        actor.name,
        platform.now(),
        config,
        repeats,
    )


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
    if not image_is_there(old):
        raise Conflict(
            f"the image of {old.name} is gone: the last ones are kept", hint="push its commit again"
        )
    return old
