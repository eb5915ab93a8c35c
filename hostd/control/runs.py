"""Runs: a command in a fresh Instance of a Release, to its end. Somebody sits at it, or it goes on by itself.

What goes on by itself outlives hostd as all Instances do, and is followed again by the next one. What somebody sits at
ends when they leave.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace

from hostd.control.access import Action, authorize
from hostd.control.launching import image_is_there, limits_of, process_env
from hostd.control.platform import Platform
from hostd.errors import Conflict, HostdError, NotFound
from hostd.model.app import App, Environment, User
from hostd.model.image import ProcessType
from hostd.model.instance import Endpoint, Exit, Instance, InstanceSpec
from hostd.model.log import LogLine
from hostd.model.release import Release
from hostd.model.run import Run, RunState, Wanted, check_env, kept_output, line_of
from hostd.model.task import Console, Task
from hostd.store import environments, releases, runs

GRACE = 10.0  # seconds between SIGTERM and SIGKILL
TAIL = 5_000  # lines of which the end is kept
NEVER_RAN, KILLED = (
    Exit(126),
    Exit(137),
)  # as a shell says that it could not run something, or that it was killed
_SHOWN = 200  # characters of a command in the log


@dataclass(frozen=True, slots=True)
class Following:
    """A Run that hostd awaits the end of."""

    run: Run
    release: Release
    task: asyncio.Task[object]


async def sit_at(
    platform: Platform,
    app: App,
    environment: Environment,
    actor: User,
    wanted: Wanted,
    console: Console,
    begun: Callable[[Run], Awaitable[None]],
) -> Exit:
    """Run what is `wanted` with somebody at it; `begun` is told once it is about to start.

    Raises Invalid, NotFound, Conflict, LimitExceeded, Unavailable, and what the Console raises.
    """
    authorize(actor, Action.RUN, app)
    run, release = await _create(platform, environment, actor, wanted, attached=True)
    ended = KILLED
    try:
        await begun(run)
        if not await platform.db.call(runs.begin, run.id, release.number, platform.now()):
            raise NotFound(f"{run.name} was stopped, or its app destroyed, before it began")
        task = _task(platform, environment, run, release, wanted)
        talking = asyncio.create_task(platform.engine.converse(task, console))
        platform.following[run.id] = Following(run, release, talking)
        ended = await _of_two(talking, f"{run.name} was stopped")
        return ended
    finally:
        platform.following.pop(run.id, None)
        await asyncio.shield(_finish(platform, environment, run, ended, ""))


async def run_detached(
    platform: Platform, app: App, environment: Environment, actor: User, wanted: Wanted
) -> Run:
    """Start what is `wanted` and leave it to itself; its output goes to the log. Raises as `sit_at` does."""
    authorize(actor, Action.RUN, app)
    run, release = await _create(platform, environment, actor, wanted, attached=False)
    instance = await start(platform, environment, run, release, dict(wanted.env))
    if instance is None:
        raise NotFound("the app was destroyed meanwhile")
    follow(platform, run, release, see_through(platform, environment, run, instance))
    return await platform.db.read(runs.by_id, run.id)


async def stop_run(platform: Platform, app: App, environment: Environment, actor: User, run_id: int) -> None:
    """End a Run: SIGTERM, SIGKILL after GRACE seconds. Nothing if it has ended. Raises NotFound."""
    authorize(actor, Action.RUN, app)
    await end_run(platform, environment, await run_of(platform, environment, run_id))


async def end_run(platform: Platform, environment: Environment, run: Run) -> None:
    """As `stop_run`, for whoever has the right already."""
    following = platform.following.get(run.id)
    if following is None:
        return
    if run.state is RunState.RUNNING and not run.attached:
        await platform.engine.stop(_instance(platform, environment, run, following.release), GRACE)
        return
    following.task.cancel()
    if run.state is RunState.WAITING:
        await platform.db.call(runs.finish, run.id, KILLED, "", platform.now())


async def run_of(platform: Platform, environment: Environment, run_id: int) -> Run:
    """A Run of this Environment. Raises NotFound."""
    run = await platform.db.read(runs.by_id, run_id)
    if run.environment_id != environment.id:
        raise NotFound(f"there is no run {run_id}", hint="which there are: hostd runs")
    return run


async def adopt_runs(platform: Platform) -> None:
    """At start: follow what runs yet, and settle what ended, or could not outlive the hostd before."""
    running = {instance.id: instance for instance in await platform.engine.instances()}
    for run in await platform.db.read(runs.unfinished):
        environment = await platform.db.read(environments.by_id, run.environment_id)
        release = await platform.db.read(
            releases.by_number, environment.id, run.release, platform.secrets.decrypt_mapping
        )
        instance = running.get(id_of(environment, run))
        if instance or (run.job and run.state is RunState.WAITING):
            follow(platform, run, release, work_off(platform, environment, run, release, instance))
        else:
            gone = _instance(platform, environment, run, release)
            ended = KILLED if run.attached else await platform.engine.wait(gone)
            await _finish(platform, environment, run, ended, _tail(platform, gone))


def follow(platform: Platform, run: Run, release: Release, work: Awaitable[None]) -> None:
    """See to `work` until it is done or hostd ends."""

    async def seen() -> None:
        try:
            await work
        finally:
            platform.following.pop(run.id, None)

    task: asyncio.Task[object] = asyncio.create_task(seen())
    platform.following[run.id] = Following(run, release, task)


async def unfollow(platform: Platform, gone: Sequence[Environment] | None = None) -> None:
    """Follow no more: those of the Environments that are `gone`, or all as hostd ends. Who sits at one is sent away."""
    ids = {environment.id for environment in gone or ()}
    chosen = [each for each in platform.following.values() if gone is None or each.run.environment_id in ids]
    for following in chosen:
        following.task.cancel()
    await asyncio.gather(*(following.task for following in chosen), return_exceptions=True)


async def work_off(
    platform: Platform, environment: Environment, run: Run, release: Release, running: Instance | None = None
) -> None:
    """Start a cron job's Run when it is its turn, in what is live by then, and see it through, as what is `running`."""
    async with _turn(platform, environment, run):
        keeper = platform.keepers.get(environment.id)
        with suppress(HostdError):  # then the Run has ended, and the log says why
            latest = keeper.release if keeper else release
            instance = running or await start(platform, environment, run, latest, {})
            if instance:
                await see_through(platform, environment, run, instance)


@asynccontextmanager
async def _turn(platform: Platform, environment: Environment, run: Run) -> AsyncIterator[None]:
    """Few jobs of an App run at once, and not many on the machine; `hostd run` has limits of its own."""
    async with AsyncExitStack() as held:
        if run.job:
            await held.enter_async_context(platform.app_jobs[environment.app_id])
            await held.enter_async_context(platform.jobs)
        yield


async def start(
    platform: Platform, environment: Environment, run: Run, release: Release, env: dict[str, str]
) -> Instance | None:
    """Start a Run's Instance. None if the Run waits no more, or is gone. Raises Unavailable; then the Run has ended."""
    if not await platform.db.call(runs.begin, run.id, release.number, platform.now()):
        return None
    asked = f"by {run.author}" if run.author else "by its schedule"
    say(platform, environment, run, f"started {asked} in {release.name}: {run.command[:_SHOWN]}")
    try:
        return await platform.engine.start(_spec(platform, environment, run, release, env))
    except HostdError as error:
        await _finish(platform, environment, run, NEVER_RAN, f"{error.message}\n")
        raise


async def see_through(platform: Platform, environment: Environment, run: Run, instance: Instance) -> None:
    """Wait for the end of a Run, or bring it about after `run.seconds`, and note it."""
    left = instance.started_at + run.seconds - platform.now().timestamp()
    limit = ""
    try:
        async with asyncio.timeout(max(0.0, left)):
            ended = await platform.engine.wait(instance)
    except TimeoutError:
        limit = "seconds"
        await platform.engine.stop(instance, GRACE)
        ended = await platform.engine.wait(instance)
    ended = replace(ended, limit=limit or ended.limit)
    await _finish(platform, environment, run, ended, _tail(platform, instance))


def say(platform: Platform, environment: Environment, run: Run, text: str) -> None:
    """A line about a Run in the log of its Environment."""
    at = platform.now().timestamp()
    platform.note(LogLine(at, environment.label, "hostd", run.process, str(run.id), text))


def id_of(environment: Environment, run: Run) -> str:
    """The id of its Instance: a Run has one only, so it is known again by it."""
    return f"{environment.label}-{run.process}-{run.id}"


async def _create(
    platform: Platform, environment: Environment, actor: User, wanted: Wanted, *, attached: bool
) -> tuple[Run, Release]:
    check_env(wanted.env)
    release = await _release(platform, environment, wanted.release)
    line = line_of(wanted.words, release.image)
    run = await platform.db.call(
        runs.create,
        environment.id,
        "",
        line,
        actor.name,
        release.number,
        platform.run_limits.seconds,
        platform.now(),
        attached=attached,
        most=platform.run_limits.at_once,
    )
    if attached:
        say(platform, environment, run, f"started by {actor.name} in {release.name}: {line[:_SHOWN]}")
    return run, release


async def _release(platform: Platform, environment: Environment, number: int | None) -> Release:
    decrypt = platform.secrets.decrypt_mapping
    if number is not None:
        release = await platform.db.read(releases.by_number, environment.id, number, decrypt)
        if not image_is_there(release):
            raise Conflict(f"the image of {release.name} is gone: the last ones are kept")
        return release
    live = await platform.db.read(releases.live, environment.id, decrypt)
    if live is None:
        raise Conflict("nothing is deployed yet", hint="push first: git push hostd main")
    return live


def _spec(
    platform: Platform, environment: Environment, run: Run, release: Release, env: dict[str, str]
) -> InstanceSpec:
    process = ProcessType(run.process, ("bash", "-c", run.command))
    return InstanceSpec(
        id=id_of(environment, run),
        tenant=environment.app_id,
        environment=environment.label,
        release=release.number,
        process=run.process,
        image=release.image,
        command=process.command,
        directory=process.directory,
        env={**process_env(environment, release, process), **env},
        limits=limits_of(platform.limits, release, run.process),
        one_off=True,
    )


def _task(platform: Platform, environment: Environment, run: Run, release: Release, wanted: Wanted) -> Task:
    spec = _spec(platform, environment, run, release, dict(wanted.env))
    limits = replace(spec.limits, seconds=float(run.seconds))
    return Task(spec.tenant, spec.command, dict(spec.env), spec.directory, spec.image, limits=limits)


def _instance(platform: Platform, environment: Environment, run: Run, release: Release) -> Instance:
    """As the engine knows it by its id."""
    return Instance(_spec(platform, environment, run, release, {}), Endpoint("", 0), 0.0)


def _tail(platform: Platform, instance: Instance) -> str:
    return kept_output(platform.engine.tail(instance.id, TAIL))


async def _finish(platform: Platform, environment: Environment, run: Run, ended: Exit, output: str) -> None:
    await platform.db.call(runs.finish, run.id, ended, output, platform.now())
    say(platform, environment, run, str(ended))


async def _of_two(talking: asyncio.Task[Exit], stopped: str) -> Exit:
    """What comes of `talking`. Cancelled, it is too; if it alone is cancelled, raises Conflict."""
    try:
        await asyncio.wait({talking})
    finally:
        if not talking.done():
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
    if talking.cancelled():
        raise Conflict(stopped)
    return talking.result()
