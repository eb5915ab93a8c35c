"""One push, from the refs that git received to a live Release. Read this first: the rest of hostd serves it."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

from hostd.control.access import Action, authorize
from hostd.control.config import config_of_environment
from hostd.control.platform import Platform
from hostd.control.rollout import rollout
from hostd.control.tidying import tidy
from hostd.errors import HostdError
from hostd.git.receive import Received
from hostd.model.app import PRODUCTION, App, Environment, User
from hostd.model.build import BuildState
from hostd.model.push import Push, decide, parse_options, production_branch
from hostd.model.release import Release
from hostd.store import apps, builds, environments, releases
from hostd.transcript import Transcript

BUILD_CONFIG = (
    "BP_",
    "NODE_",
    "NPM_",
    "UV_",
    "PIP_",
    "VITE_",
    "NEXT_PUBLIC_",
    "PUBLIC_",
    "REACT_APP_",
    "DISABLE_",
)


async def accept(
    platform: Platform, app: App, user: User, received: Received, transcript: Transcript, held: AsyncExitStack
) -> None:
    """Decide what the push may do, and deploy what deploys. Raises HostdError to refuse it as a whole.

    The Environment stays locked in `held`: close it once git has moved the refs.
    """
    authorize(user, Action.PUSH, app)
    options = parse_options(received.options)
    app = await _settle_branch(platform, app, received)
    if any(update.branch == app.production_branch for update in received.updates):
        environment = await platform.db.read(environments.by_name, app.id, PRODUCTION)
        await _take_turn(platform, environment, transcript, held)
    with platform.repositories.reader(app, received.quarantine) as reader:
        kinds = {u.new: kind for u in received.updates if (kind := reader.kind(u.new))}
        decision = decide(received.updates, app.production_branch, kinds, reader.tips())
        summary = reader.summary(decision.deploy.new) if decision.deploy else ""
    for note in decision.notes:
        transcript.detail(note)
    if decision.deploy:
        branch, commit = app.production_branch, decision.deploy.new
        push = Push(app, user, branch, commit, summary, received.quarantine, options)
        await deploy_push(platform, environment, push, transcript)


async def deploy_push(
    platform: Platform, environment: Environment, push: Push, transcript: Transcript
) -> Release:
    """Build the pushed commit and make it live. The Build is recorded whatever becomes of it."""
    build_id = await platform.db.call(
        builds.start, environment.id, push.commit, push.user.name, platform.now()
    )
    live: Release | None = None
    reason = "hostd was stopped or the client went away"
    try:
        release = await _build(platform, environment, push, transcript)
        live = await rollout(platform, environment, release, transcript)
        transcript.step(f"{platform.names.url(environment)} is running {live.name}")
    except HostdError as error:
        reason = error.message
        raise _named(error) from error
    finally:
        state = BuildState.SUCCEEDED if live else BuildState.FAILED
        text = "\n".join(transcript.lines)
        number = live.number if live else None
        why = "" if live else reason
        await asyncio.shield(
            platform.db.call(builds.finish, build_id, state, text, why, number, platform.now())
        )
    platform.later(tidy(platform, environment))
    return live


async def _build(platform: Platform, environment: Environment, push: Push, transcript: Transcript) -> Release:
    """From the commit to a numbered Release; the commit point is in here."""
    transcript.step(f"Deploying {push.commit[:7]} {push.summary}")
    source = await platform.repositories.export(push.app, push.commit, push.quarantine)
    config = await config_of_environment(platform, environment)
    previous = await platform.db.read(releases.live, environment.id, platform.secrets.decrypt_mapping)
    restored = None if previous is None or "clear-cache" in push.options else previous.image
    if platform.builds.locked():
        transcript.step("Waiting for another build to end")
    async with platform.builds:
        image = await platform.builder.build(source, push.app, _build_env(config), restored, transcript)
    transcript.commit()
    return await platform.db.call(
        releases.create,
        environment.id,
        image,
        platform.secrets.encrypt_mapping(config),
        push.commit,
        push.summary or "push",
        push.user.name,
        platform.now(),
        config,
    )


def _build_env(config: Mapping[str, str]) -> dict[str, str]:
    """The ConfigVars a Build sees: those that steer build tools, or end up in browsers anyway. No secrets."""
    return {name: value for name, value in config.items() if name.startswith(BUILD_CONFIG)}


async def _take_turn(
    platform: Platform, environment: Environment, transcript: Transcript, held: AsyncExitStack
) -> None:
    lock = platform.lock(environment)
    if lock.locked():
        transcript.step("Another deploy of this app is under way; waiting for it to end")
    await held.enter_async_context(lock)


async def _settle_branch(platform: Platform, app: App, received: Received) -> App:
    with platform.repositories.reader(app) as reader:
        branch = production_branch(app.production_branch, received.updates, reader.tips())
    if branch != app.production_branch:
        await platform.db.call(apps.set_production_branch, app.id, branch)
    return replace(app, production_branch=branch)


def _named(error: HostdError) -> HostdError:
    """The error as the pusher reads it behind `! [remote rejected]`."""
    prefix = {"build_failed": "build failed: ", "rollout_failed": "release failed: "}.get(error.code, "")
    return type(error)(prefix + error.message, hint=error.hint)
