"""How far the cron jobs of each Environment have been counted, and which are paused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select

from hostd.errors import NotFound
from hostd.model.cron import CronJob
from hostd.model.run import Run
from hostd.store import runs
from hostd.store.tables import cron_jobs


@dataclass(frozen=True, slots=True)
class Counted:
    """Everything due until then is settled: it ran, was skipped, or was never wanted."""

    until: datetime
    paused: bool


def settle(
    connection: Connection, environment_id: int, jobs: Sequence[CronJob], now: datetime
) -> Mapping[str, Counted]:
    """Have a row for each of `jobs` and no other. One that is new, or due at other times now, counts from now on."""
    there = of(connection, environment_id)
    wanted = {job.name: job for job in jobs}
    for name in there.keys() - wanted.keys():
        connection.execute(cron_jobs.delete().where(*_this(environment_id, name)))
    for job in jobs:
        if job.name not in there:
            row = {"environment_id": environment_id, "name": job.name, "paused": False}
            connection.execute(cron_jobs.insert().values(**row, schedule=job.when, counted_until=now))
        else:
            changed = (*_this(environment_id, job.name), cron_jobs.c.schedule != job.when)
            values = {"schedule": job.when, "counted_until": now}
            connection.execute(cron_jobs.update().where(*changed).values(values))
    return of(connection, environment_id)


def of(connection: Connection, environment_id: int) -> Mapping[str, Counted]:
    """By name of the job."""
    rows = connection.execute(select(cron_jobs).where(cron_jobs.c.environment_id == environment_id))
    return {row.name: Counted(row.counted_until, row.paused) for row in rows}


def claim(
    connection: Connection, environment_id: int, job: CronJob, release: int, due: datetime, now: datetime
) -> Run | None:
    """The Run of `job` that is due, once and for all, and whatever else is due until `now` with it.

    None if it is paused, was claimed before, or is skipped because the Run before has not ended.
    """
    open_ = (cron_jobs.c.paused.is_(False), cron_jobs.c.counted_until < due)
    count = (
        cron_jobs.update().where(*_this(environment_id, job.name), *open_).values(counted_until=max(due, now))
    )
    if connection.execute(count).rowcount == 0:
        return None
    if job.blocked_by(len(runs.unfinished(connection, environment_id, job.name))):
        return None
    seconds = job.timeout_seconds
    return runs.create(
        connection, environment_id, job.name, job.command, "", release, seconds, now, due_at=due
    )


def pause(connection: Connection, environment_id: int, name: str, paused: bool, now: datetime) -> None:
    """From now on. What was due while it was paused is not made up for. Raises NotFound."""
    values = {"paused": paused, "counted_until": now}
    if (
        connection.execute(cron_jobs.update().where(*_this(environment_id, name)).values(values)).rowcount
        == 0
    ):
        raise NotFound(f"there is no cron job {name}", hint="which there are: hostd cron")


def _this(environment_id: int, name: str) -> tuple[ColumnElement[bool], ...]:
    return (cron_jobs.c.environment_id == environment_id, cron_jobs.c.name == name)
