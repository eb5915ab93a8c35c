"""Bringing an App's branch to where it is in the repository that it follows, and deploying it as a push does."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from hostd.control.access import Action, authorize
from hostd.control.apps import production_of
from hostd.control.deploys import check_not_paused
from hostd.control.forges import forge_of, remote_of
from hostd.control.platform import Platform
from hostd.control.push import accept, deploy_stored
from hostd.errors import Conflict, HostdError, NotFound
from hostd.forges.dialects import DIALECTS
from hostd.git import remote
from hostd.git.receive import Received, Say, Session
from hostd.model.app import App, Environment, User
from hostd.model.forge import Forge, branch_of_fork
from hostd.model.push import check_branch
from hostd.model.release import Release
from hostd.store import apps, environments, forges, releases
from hostd.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull came to: a Release, or that the branch is gone, or else in `note` why neither."""

    release: Release | None = None
    removed: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Pull:
    """Which `ref` of the Forge becomes which `branch` here. `expected`, if not "", is the only commit it may be at."""

    app: App
    user: User
    forge: Forge
    ref: str
    branch: str
    expected: str = ""


async def pull_now(platform: Platform, app: App, actor: User, branch: str, transcript: Transcript) -> Release:
    """Deploy a branch as the Forge has it, also if it runs already. Raises NotFound, Conflict and as a push does."""
    authorize(actor, Action.PUSH, app)
    forge, ref = await forge_of(platform, app), f"refs/heads/{check_branch(branch)}"
    if environment := await environment_at(platform, app, branch):
        await check_not_paused(platform, environment)
    pulled = await pull(
        platform, Pull(app, actor, forge, ref, branch), transcript, lambda _: None, again=True
    )
    if pulled.release is None:
        raise Conflict(pulled.note or f"{forge.repository} has no branch {branch}: it is removed here too")
    return pulled.release


async def pull(
    platform: Platform,
    wanted: Pull,
    transcript: Transcript,
    on_commit: Callable[[str], None],
    *,
    again: bool = False,
) -> Pulled:
    """Fetch, then push here what is new, or the deletion. `on_commit` is told what will be deployed.

    What runs already is deployed only `again`. Raises Conflict for another commit than expected, and as a push does.
    """
    authorize(wanted.user, Action.PUSH, wanted.app)
    source = await remote_of(platform, wanted.forge)
    async with platform.repositories.scratch(wanted.app) as scratch:
        transcript.step(f"Fetching {wanted.branch} from {wanted.forge.repository}")
        async with platform.fetches[wanted.user.id]:
            commit = await remote.fetch(source, wanted.ref, scratch)
        if commit is None:
            return await _remove(platform, wanted, scratch, transcript)
        if wanted.expected and commit != wanted.expected:
            raise Conflict(
                f"{wanted.branch} has moved on to {commit[:7]}: only {wanted.expected[:7]} was approved"
            )
        on_commit(commit)
        if commit == _tip(platform, wanted):
            return await _deploy_again(platform, wanted, commit, transcript, again)
        release = await _push(platform, wanted, scratch, f"+{commit}", transcript)
        return Pulled(release, note="" if release else transcript.lines[-1].strip())


async def remove_fork(platform: Platform, wanted: Pull, transcript: Transcript) -> Pulled:
    """Remove what a fork's pull request has here."""
    if not await platform.db.read(forges.of_fork, wanted.app.id, wanted.branch):
        return Pulled(note="nothing of it was deployed")
    async with platform.repositories.scratch(wanted.app) as scratch:
        pulled = await _remove(platform, wanted, scratch, transcript)
    await platform.db.call(forges.unmark_fork, wanted.app.id, wanted.branch)
    return pulled


async def pull_fork(
    platform: Platform, wanted: Pull, transcript: Transcript, on_commit: Callable[[str], None]
) -> Pulled:
    """Deploy a fork's commit that was approved, without any ConfigVars.

    Raises Conflict if the App has a branch of that name by itself.
    """
    known = await platform.db.read(forges.of_fork, wanted.app.id, wanted.branch)
    preview = await platform.db.read(environments.preview_of, wanted.app.id, wanted.branch)
    if not known and (preview or _tip(platform, wanted)):
        raise Conflict(
            f"this app has a branch {wanted.branch} of its own",
            hint=f"git push hostd --delete {wanted.branch}",
        )
    await platform.db.call(forges.mark_fork, wanted.app.id, wanted.branch)
    transcript.step("This commit comes from a fork: it is deployed without config variables")
    return await pull(platform, wanted, transcript, on_commit)


def fork_pull(app: App, user: User, forge: Forge, number: int, commit: str) -> Pull:
    """The Pull of a fork's pull request."""
    return Pull(
        app, user, forge, DIALECTS[forge.kind].pull_ref.format(number), branch_of_fork(number), commit
    )


async def environment_at(platform: Platform, app: App, branch: str) -> Environment | None:
    """Where a branch runs; None if it has no Preview yet."""
    if branch == app.production_branch:
        return await production_of(platform, app)
    return await platform.db.read(environments.preview_of, app.id, branch)


async def _deploy_again(
    platform: Platform, wanted: Pull, commit: str, transcript: Transcript, again: bool
) -> Pulled:
    environment = await environment_at(platform, wanted.app, wanted.branch)
    if environment and not again:
        live = await platform.db.read(releases.live, environment.id, platform.secrets.decrypt_mapping)
        if live and live.commit == commit:
            return Pulled(live, note="it runs already")
    return Pulled(await deploy_stored(platform, wanted.app, wanted.user, wanted.branch, transcript))


async def _remove(platform: Platform, wanted: Pull, scratch: Path, transcript: Transcript) -> Pulled:
    if wanted.branch == wanted.app.production_branch:
        raise NotFound(f"{wanted.forge.repository} has no branch {wanted.branch}, which production runs")
    if not _tip(platform, wanted):
        return Pulled(note=f"neither the forge nor hostd has a branch {wanted.branch}")
    await _push(platform, wanted, scratch, "", transcript)
    return Pulled(removed=True)


async def _push(
    platform: Platform, wanted: Pull, scratch: Path, source: str, transcript: Transcript
) -> Release | None:
    """A push as `wanted.user`'s of `source` ("" to delete the branch)."""
    done: list[Release | None] = []
    failed: list[BaseException] = []
    async with AsyncExitStack() as held:

        async def gate(received: Received, say: Say) -> None:
            try:
                app = await platform.db.read(apps.by_id, wanted.app.id)
                done.append(await accept(platform, app, wanted.user, received, transcript, held))
            except BaseException as error:
                failed.append(error)
                raise

        session = Session(platform.repositories.path(wanted.app), gate, stateless=False)
        try:
            await remote.push(scratch, f"{source}:refs/heads/{wanted.branch}", session)
        except HostdError:
            if failed:  # git tells of it in other words
                raise failed[0] from None
            raise
    return done[0] if done else None


def _tip(platform: Platform, wanted: Pull) -> str:
    with platform.repositories.reader(wanted.app) as reader:
        return reader.tips().get(f"refs/heads/{wanted.branch}", "")
