"""Previews: an Environment for each branch but production's, made by a push and gone with the branch or its time."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from hostd.control.access import Action, authorize
from hostd.control.apps import production_of
from hostd.control.platform import Platform
from hostd.control.removal import remove_all_of
from hostd.control.tidying import tidy
from hostd.control.turns import hold
from hostd.errors import LimitExceeded, NotFound
from hostd.model.app import PRODUCTION, App, Environment, User, label_of
from hostd.model.names import shown
from hostd.model.preview import PREVIEWS_LIMIT, PreviewSettings, check_days, expired, locked, name_of
from hostd.model.release import Release
from hostd.store import environments, previews, releases


@dataclass(frozen=True, slots=True)
class PreviewDetails:
    """A Preview with where it answers, what is live in it, and until when it is kept."""

    environment: Environment
    url: str
    release: Release | None
    last_push: datetime
    expires: datetime


async def environment_of(platform: Platform, app: App, preview: str | None) -> Environment:
    """Production for None, else the Preview of that branch, or of that name. Raises NotFound."""
    if preview is None:
        return await production_of(platform, app)
    found = await platform.db.read(environments.previews, app.id)
    for environment in sorted(found, key=lambda each: each.branch != preview):
        if preview in (environment.branch, environment.name):
            return environment
    raise NotFound(
        f"{app.name} has no preview of {shown(preview)}", hint="which there are: hostd previews list"
    )


async def previews_of(platform: Platform, app: App) -> Sequence[PreviewDetails]:
    """The App's Previews, oldest first."""
    settings = await platform.db.read(previews.settings_of, app.id)
    pushes = await platform.db.read(environments.last_pushes, app.id)
    found = []
    for environment in await platform.db.read(environments.previews, app.id):
        release = await platform.db.read(releases.live, environment.id, platform.secrets.decrypt_mapping)
        last = pushes[environment.id]
        url = platform.names.url(environment)
        found.append(PreviewDetails(environment, url, release, last, last + timedelta(days=settings.days)))
    return found


def label_for(app: App, branch: str) -> str:
    """The label of the Environment that a push of `branch` goes to, made or not."""
    return label_of(app.name, PRODUCTION if branch == app.production_branch else name_of(branch))


@asynccontextmanager
async def environment_for(platform: Platform, app: App, branch: str) -> AsyncIterator[Environment]:
    """Where a push of `branch` goes. A Preview that is made for it is gone again if what is done within fails.

    The caller holds the Environment's lock. Raises LimitExceeded.
    """
    if branch == app.production_branch:
        yield await production_of(platform, app)
        return
    there = await platform.db.read(environments.preview_of, app.id, branch)
    if there:
        yield there
        return
    made = await platform.db.call(_create, platform, app, branch)
    try:
        yield made
    except BaseException:
        await asyncio.shield(_remove(platform, made))
        raise


async def destroy_preview(platform: Platform, app: App, actor: User, preview: Environment) -> None:
    """Destroy a Preview and all it has; its branch stays. Raises NotFound if it is none of the App's."""
    authorize(actor, Action.MANAGE_PREVIEWS, app)
    if preview.app_id != app.id or not preview.preview:
        raise NotFound(f"{shown(preview.name)} is no preview of {app.name}")
    async with AsyncExitStack() as held:
        await hold(platform, [preview.label], held)
        await remove_previews(platform, app, [preview.branch])


async def remove_previews(platform: Platform, app: App, branches: Sequence[str]) -> Sequence[Environment]:
    """Remove the Previews that these branches have; the caller holds their locks. Those that were there."""
    found = [await platform.db.read(environments.preview_of, app.id, branch) for branch in branches]
    gone = [environment for environment in found if environment]
    for environment in gone:
        await _remove(platform, environment)
    return gone


async def sweep_previews(platform: Platform) -> None:
    """Remove Previews whose time is over. One that is just being pushed to is looked at again the next time."""
    for environment in await platform.db.read(environments.previews):
        if platform.lock(environment).locked():
            continue
        async with platform.lock(environment):
            settings = await platform.db.read(previews.settings_of, environment.app_id)
            pushes = await platform.db.read(environments.last_pushes, environment.app_id)
            last = pushes.get(environment.id)
            if last and expired(last, settings, platform.now()):
                await _remove(platform, environment)


async def remove_unfinished(platform: Platform) -> None:
    """At start: remove Previews in which nothing ever went live, left by a first push that was cut off."""
    for environment in await platform.db.read(environments.previews):
        if await platform.db.read(releases.live, environment.id, platform.secrets.decrypt_mapping) is None:
            await platform.db.call(environments.destroy, environment.id)


async def forget_logs(platform: Platform) -> None:
    """Remove logs of Environments there are no more: lines may have come in after these were removed."""
    logs = platform.data / "logs"
    known = {environment.label for environment in await platform.db.read(environments.every)}
    for place in await asyncio.to_thread(lambda: list(logs.iterdir()) if logs.is_dir() else []):
        if place.name not in known and not platform.locks[place.name].locked():
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


async def settings_of(platform: Platform, app: App) -> PreviewSettings:
    """What holds for all Previews of the App."""
    return await platform.db.read(previews.settings_of, app.id)


async def change_settings(
    platform: Platform,
    app: App,
    actor: User,
    *,
    enabled: bool | None = None,
    days: int | None = None,
    password: str | None = None,
) -> PreviewSettings:
    """Change what is not None; a password of "" takes it away. Holds at once, also for the Previews there are.

    Raises Invalid.
    """
    authorize(actor, Action.MANAGE_PREVIEWS, app)
    settings = await settings_of(platform, app)
    if enabled is not None:
        settings = replace(settings, enabled=enabled)
    if days is not None:
        settings = replace(settings, days=check_days(days))
    if password is not None:
        kept = locked(password, secrets.token_hex(8)) if password else ""
        settings = replace(settings, password=kept)
    await platform.db.call(previews.set_settings, app.id, settings)
    if password is not None:
        await _publish_again(platform, app)
    return settings


async def _publish_again(platform: Platform, app: App) -> None:
    """Give the Routes of the App's Previews the password that holds now."""

    async def publish(environment: Environment) -> None:
        async with platform.lock(environment):
            if keeper := platform.keepers.get(environment.id):
                keeper.environment = environment
                await keeper.publish()

    async with asyncio.TaskGroup() as tasks:
        for environment in await platform.db.read(environments.previews, app.id):
            tasks.create_task(publish(environment))


def _create(connection: Connection, platform: Platform, app: App, branch: str) -> Environment:
    if len(environments.previews(connection, app.id)) >= PREVIEWS_LIMIT:
        raise LimitExceeded(
            f"{app.name} has {PREVIEWS_LIMIT} previews, the most there may be",
            hint="hostd previews destroy NAME",
        )
    name = name_of(branch)
    host = platform.names.preview_host(app.name, name)
    return environments.create(connection, app, name, branch, host, platform.now())


async def _remove(platform: Platform, environment: Environment) -> None:
    await platform.db.call(environments.destroy, environment.id)
    await remove_all_of(platform, [environment])
    platform.later(_tidy(platform, environment.app_id))


async def _tidy(platform: Platform, app_id: int) -> None:
    """Images of a Preview that is gone are kept by nobody now."""
    with suppress(NotFound):
        await tidy(platform, await platform.db.read(environments.by_name, app_id, PRODUCTION))
