"""One push, from the refs that git received to a live Release. Read this first: the rest of hostd serves it."""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from hostd.build.workshop import BUILD_KEY
from hostd.control.access import Action, authorize
from hostd.control.canary import trial
from hostd.control.config import all_config_of
from hostd.control.deploys import RESUME, check_not_paused
from hostd.control.first_config import set_first_config
from hostd.control.platform import Platform
from hostd.control.previews import environment_for, label_for, remove_previews, settings_of
from hostd.control.rollout import Trial, rollout, untried
from hostd.control.turns import hold, say_wait
from hostd.errors import Conflict, HostdError, Invalid, NotFound
from hostd.git.receive import Received
from hostd.model.app import PRODUCTION, App, Environment, User
from hostd.model.build import BuildState
from hostd.model.canary import asked, rule_of
from hostd.model.config import BROWSER_PREFIXES, Config, Scope, in_scope
from hostd.model.image import Image
from hostd.model.names import shown
from hostd.model.push import BranchRules, Push, RefUpdate, candidate, decide, parse_options, production_branch
from hostd.model.release import Release
from hostd.store import apps, builds, environments, pauses, releases
from hostd.transcript import Transcript


async def accept(
    platform: Platform, app: App, user: User, received: Received, transcript: Transcript, held: AsyncExitStack
) -> Release | None:
    """Decide what the push may do, and deploy what deploys: the Release. Raises HostdError to refuse it as a whole.

    The Environments it changes stay locked in `held`: close it once git has moved the refs.
    """
    authorize(user, Action.PUSH, app)
    options = parse_options(received.options)
    asked(None, options)
    app, rules, chosen = await _take_turns(platform, app, received, transcript, held)
    with platform.repositories.reader(app, received.quarantine) as reader:
        kind = reader.kind(chosen.new) if chosen else None  # of no other: it takes reading the whole object
        kinds = {chosen.new: kind} if chosen and kind else {}
        decision = decide(received.updates, rules, kinds, reader.tips())
        summary = reader.summary(decision.deploy.new) if decision.deploy else ""
    for note in decision.notes:
        transcript.detail(note)
    release = None
    if decision.deploy:
        branch, commit = decision.deploy.branch or "", decision.deploy.new
        push = Push(app, user, branch, commit, summary, received.quarantine, options)
        async with environment_for(platform, app, branch) as environment:
            if RESUME not in options:
                await check_not_paused(platform, environment)
            release = await deploy_push(platform, environment, push, transcript)
    for preview in await remove_previews(platform, app, decision.removed):
        transcript.step(f"The preview {platform.names.url(preview)} is removed")
    return release


async def create_preview(
    platform: Platform, app: App, user: User, branch: str, transcript: Transcript
) -> Release:
    """Have a Preview of a branch as it is stored. Raises as `deploy_stored` does, Invalid for production's."""
    if branch == app.production_branch:
        raise Invalid(f"{branch} is what production runs", hint=f"push it: git push hostd {branch}")
    return await deploy_stored(platform, app, user, branch, transcript)


async def deploy_stored(
    platform: Platform, app: App, user: User, branch: str, transcript: Transcript
) -> Release:
    """Deploy a branch as it is stored, for the first time or again. Raises as `deploy_push` does, NotFound."""
    authorize(user, Action.PUSH, app)
    async with AsyncExitStack() as held:
        await hold(platform, [label_for(app, branch)], held, lambda: say_wait(transcript))
        with platform.repositories.reader(app) as reader:
            commit = reader.tips().get(f"refs/heads/{branch}")
            if commit is None:
                raise NotFound(
                    f"{app.name} has no branch {shown(branch)}", hint=f"push it: git push hostd {branch}"
                )
            push = Push(app, user, branch, commit, reader.summary(commit), None, {})
        async with environment_for(platform, app, branch) as environment:
            return await deploy_push(platform, environment, push, transcript)


async def deploy_push(
    platform: Platform, environment: Environment, push: Push, transcript: Transcript
) -> Release:
    """Build the pushed commit and make it live. The Build is recorded whatever becomes of it."""
    start = platform.db.call(builds.start, environment.id, push.commit, push.user.name, platform.now())
    starting = asyncio.create_task(start)  # on disk by the time the build is done
    try:
        release = await _build(platform, environment, push, transcript)
        build_id = await asyncio.shield(starting)
        end = f"{platform.names.url(environment)} is running {release.name}"

        def record(connection: Connection) -> None:
            text, now = "\n".join([*transcript.lines, f"-----> {end}"]), platform.now()
            builds.finish(connection, build_id, BuildState.SUCCEEDED, text, "", release.number, now)
            if RESUME in push.options:
                pauses.end(connection, environment.id)

        live = await rollout(
            platform,
            environment,
            release,
            transcript,
            record,
            _trial(platform, environment, push, release, transcript),
        )
    except BaseException as error:
        await asyncio.shield(_record_failure(platform, starting, error, transcript))
        if isinstance(error, HostdError):
            raise _named(error) from error
        raise
    transcript.step(end)
    platform.untidy.add(environment.id)
    return live


async def _record_failure(
    platform: Platform, starting: asyncio.Task[int], error: BaseException, transcript: Transcript
) -> None:
    reason = error.message if isinstance(error, HostdError) else "hostd was stopped or the client went away"
    build_id, text = await starting, "\n".join(transcript.lines)
    with suppress(Conflict):  # cut off after it went live: that is stored, and stays
        await platform.db.call(builds.finish, build_id, BuildState.FAILED, text, reason, None, platform.now())


async def _build(platform: Platform, environment: Environment, push: Push, transcript: Transcript) -> Release:
    """From the commit to a numbered Release; the commit point is in here."""
    what = f"{push.commit[:7]} {push.summary}"
    transcript.step(f"Deploying {what}" + (f" as a preview of {push.branch}" if environment.preview else ""))
    await set_first_config(platform, environment, push, transcript)
    config = await all_config_of(platform, environment)
    given = in_scope(config, Scope.RUN)
    restored = None if "clear-cache" in push.options else await _restored(platform, environment)
    building = platform.building[push.app.id]
    if building.locked() or platform.builds.locked():
        transcript.step("Waiting for another build to end, or for files to be tidied up")
    async with building, platform.builds:
        source = await platform.repositories.export(push.app, push.commit, push.quarantine)
        image = await platform.builder.build(
            source, push.app, build_env(platform, config), restored, transcript
        )
        transcript.commit()
        return await platform.db.call(
            releases.create,
            environment.id,
            image,
            platform.secrets.encrypt_mapping(given),
            push.commit,
            push.summary or "push",
            push.user.name,
            platform.now(),
            given,
        )


def _trial(
    platform: Platform, environment: Environment, push: Push, release: Release, transcript: Transcript
) -> Trial:
    """As hostd.toml has it for production, and as the push asks for."""
    rule = asked(None if environment.preview else rule_of(release.image.labels), push.options)
    return partial(trial, platform, release, rule, transcript) if rule else untried


async def _restored(platform: Platform, environment: Environment) -> Image | None:
    """The Image whose layers a Build may take over: the live one; for a new Preview, production's, but not for a
    fork's: a Build with production's config made them."""
    decrypt = platform.secrets.decrypt_mapping
    live = await platform.db.read(releases.live, environment.id, decrypt)
    if live is None and environment.preview and not environment.fork:
        production = await platform.db.read(environments.by_name, environment.app_id, PRODUCTION)
        live = await platform.db.read(releases.live, production.id, decrypt)
    return live.image if live else None


def build_env(platform: Platform, config: Config) -> dict[str, str]:
    """The ConfigVars a Build sees, and a key that is another one when those that may decide what it installs are."""
    env = in_scope(config, Scope.BUILD)
    deciding = {name: value for name, value in env.items() if not name.startswith(BROWSER_PREFIXES)}
    return {**env, BUILD_KEY: platform.secrets.fingerprint(deciding)} if deciding else env


async def _take_turns(
    platform: Platform, app: App, received: Received, transcript: Transcript, held: AsyncExitStack
) -> tuple[App, BranchRules, RefUpdate | None]:
    """Alone with what the push may deploy or remove, which is looked at again once its turn has come.

    Of the first pushes of main and master at once, one makes production, and the other is a preview.
    """
    holds: set[str] | None = None
    while True:
        settled = await _settled(platform, app, received)
        rules = BranchRules(settled.production_branch, (await settings_of(platform, settled)).enabled)
        chosen = candidate(received.updates, rules)
        changed = [update for update in received.updates if update is chosen or update.deletes]
        labels = {label_for(settled, update.branch) for update in changed if update.branch}
        if labels == holds:
            break
        await held.aclose()
        await hold(platform, labels, held, lambda: say_wait(transcript))
        holds = labels
    await _keep_branch(platform, settled)
    return settled, rules, chosen


async def _settled(platform: Platform, app: App, received: Received) -> App:
    """The App as it is now, with the production branch that this push leads to."""
    app = await platform.db.read(apps.by_id, app.id)
    with platform.repositories.reader(app) as reader:
        branch = production_branch(app.production_branch, received.updates, reader.tips())
    return replace(app, production_branch=branch)


async def _keep_branch(platform: Platform, settled: App) -> None:
    app = await platform.db.read(apps.by_id, settled.id)
    if settled.production_branch != app.production_branch:
        await platform.db.call(apps.set_production_branch, app.id, settled.production_branch)
        await platform.repositories.set_head(app, settled.production_branch)


def _named(error: HostdError) -> HostdError:
    """The error as the pusher reads it behind `! [remote rejected]`."""
    prefix = {"build_failed": "build failed: ", "rollout_failed": "release failed: "}.get(error.code, "")
    return type(error)(prefix + error.message, hint=error.hint)
