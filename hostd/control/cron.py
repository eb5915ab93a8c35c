"""Cron: the jobs of an App's live production Release, each started when it is due, once.

A Run is claimed in the store before anything starts, so it never starts twice; one that waits is started by the next
hostd, one that runs goes on without hostd. However many times were missed, one Run makes up for them.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hostd.control.access import Action, authorize
from hostd.control.keeper import Keeper
from hostd.control.platform import Platform
from hostd.control.runs import end_run, follow, work_off
from hostd.errors import Conflict, HostdError, NotFound
from hostd.model.app import App, Environment, User
from hostd.model.cron import CronJob, Overlap, jobs_in
from hostd.model.log import LogLine
from hostd.model.names import shown
from hostd.model.release import Release
from hostd.model.run import Run, process_of
from hostd.store import cron, releases, runs

LOOK_EVERY = 0.5  # seconds
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job as it is shown: when it is due next (None: never, or paused), and its last Run."""

    job: CronJob
    paused: bool
    due: datetime | None
    last: Run | None


class Scheduler:
    """Starts what is due."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._settled: dict[int, int] = {}  # by Environment, the Release whose jobs are in `_due`
        self._due: dict[tuple[int, str], datetime | None] = {}

    async def run(self) -> None:
        """Look for what is due, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Once. What is wrong with one App's jobs does not keep those of others from running."""
        now = self._platform.now()
        for keeper in list(self._platform.keepers.values()):
            if keeper.environment.preview:
                continue
            try:
                await self._look_at(keeper, now)
            except HostdError as error:
                _log.warning("cron jobs of %s failed: %s", keeper.environment.label, error.message)
            except Exception:  # noqa: BLE001 (a bug met once must not end the looking for good)
                _log.exception("cron jobs of %s failed", keeper.environment.label)

    async def _look_at(self, keeper: Keeper, now: datetime) -> None:
        environment, release = keeper.environment, keeper.release
        jobs = jobs_in(release.image.labels)
        if self._settled.get(environment.id) != release.id:
            await self._settle(keeper, jobs, now)
        for job in jobs:
            due = self._due[environment.id, job.name]
            if due and due <= now:
                self._due[environment.id, job.name] = job.next_after(now)
                await self._fire(environment, release, job, due, now)

    async def _settle(self, keeper: Keeper, jobs: Sequence[CronJob], now: datetime) -> None:
        environment = keeper.environment
        known = await self._platform.db.read(cron.of, environment.id)
        if jobs or known:
            counted = await self._platform.db.call(cron.settle, environment.id, jobs, now)
            for job in jobs:
                self._due[environment.id, job.name] = job.next_after(counted[job.name].until)
        self._settled[environment.id] = keeper.release.id

    async def _fire(
        self, environment: Environment, release: Release, job: CronJob, due: datetime, now: datetime
    ) -> None:
        run = await self._platform.db.call(cron.claim, environment.id, job, release.number, due, now)
        if run:
            _begin(self._platform, environment, release, job, run)
            return
        before = await self._platform.db.read(runs.unfinished, environment.id, job.name)
        if job.blocked_by(len(before)):
            line = f"skipped what is due at {due:%Y-%m-%dT%H:%MZ}: {before[0].name} has not ended"
            at = now.timestamp()
            self._platform.note(LogLine(at, environment.label, "hostd", process_of(job.name), "", line))


async def jobs_of(platform: Platform, environment: Environment) -> Sequence[JobStatus]:
    """The jobs of what is live in an Environment; in a Preview none is ever due."""
    release = await _live(platform, environment)
    counted = await platform.db.read(cron.of, environment.id)
    found = []
    for job in jobs_in(release.image.labels) if release else ():
        last = await platform.db.read(runs.recent, environment.id, job.name, 1)
        state = counted.get(job.name)
        paused = state is not None and state.paused
        due = None if paused or environment.preview else job.next_after(platform.now())
        found.append(JobStatus(job, paused, due, last[0] if last else None))
    return found


async def run_job(platform: Platform, app: App, environment: Environment, actor: User, name: str) -> Run:
    """Run a job now, in what is live. Raises NotFound, and Conflict if it skips and its Run before has not ended, or
    too many of them."""
    authorize(actor, Action.RUN, app)
    release = await _live(platform, environment)
    job = next((job for job in jobs_in(release.image.labels) if job.name == name), None) if release else None
    if release is None or job is None:
        raise NotFound(f"there is no cron job {shown(name)}", hint="which there are: hostd cron")
    before = await platform.db.read(runs.unfinished, environment.id, name)
    if job.blocked_by(len(before)):
        raise Conflict(f"{before[0].name} has not ended", hint=f"end it: hostd runs stop {before[0].id}")
    seconds, now = job.timeout_seconds, platform.now()
    run = await platform.db.call(
        runs.create, environment.id, name, job.command, actor.name, release.number, seconds, now
    )
    _begin(platform, environment, release, job, run)
    return run


async def pause_job(
    platform: Platform, app: App, environment: Environment, actor: User, name: str, paused: bool
) -> None:
    """Let a job rest, or be due again from now on. What runs goes on. Raises NotFound."""
    authorize(actor, Action.CHANGE_APP, app)
    release = await _live(platform, environment)
    await platform.db.call(
        cron.settle, environment.id, jobs_in(release.image.labels) if release else (), platform.now()
    )
    await platform.db.call(cron.pause, environment.id, name, paused, platform.now())


def _begin(platform: Platform, environment: Environment, release: Release, job: CronJob, run: Run) -> None:
    work = _take_place if job.overlap is Overlap.REPLACE else work_off
    follow(platform, run, release, work(platform, environment, run, release))


async def _take_place(platform: Platform, environment: Environment, run: Run, release: Release) -> None:
    """End those before it, which may take their time; nobody else has to wait for that."""
    for before in await platform.db.read(runs.unfinished, environment.id, run.job):
        if before.id < run.id:
            await end_run(platform, environment, before)
    await work_off(platform, environment, run, release)


async def _live(platform: Platform, environment: Environment) -> Release | None:
    return await platform.db.read(releases.live, environment.id, platform.secrets.decrypt_mapping)
