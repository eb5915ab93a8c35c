"""Runs: what was asked for stays, with its end and the end of its output, until newer ones push it out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select

from hostd.errors import LimitExceeded, NotFound
from hostd.model.instance import Exit
from hostd.model.run import Run, RunState
from hostd.store.tables import runs

KEPT = 50  # ended Runs of each job of an Environment, and of its `hostd run`
_COLUMNS = [column for column in runs.c if column.name != "output"]
_OPEN = runs.c.state != RunState.ENDED


def create(  # noqa: PLR0913 (a row's columns)
    connection: Connection,
    environment_id: int,
    job: str,
    command: str,
    author: str,
    release: int,
    seconds: int,
    now: datetime,
    *,
    due_at: datetime | None = None,
    attached: bool = False,
    most: int = 0,
) -> Run:
    """A new Run, WAITING. Raises LimitExceeded if there are `most` (0: any number) that have not ended."""
    mine = (runs.c.environment_id == environment_id, runs.c.job == job)
    if most and (connection.scalar(select(func.count()).where(*mine, _OPEN)) or 0) >= most:
        raise LimitExceeded(
            f"{most} commands of this app run already",
            hint="see them: hostd runs; end one: hostd runs stop ID",
        )
    _forget_old(connection, *mine)
    row = runs.insert().values(
        environment_id=environment_id,
        job=job,
        command=command,
        author=author,
        due_at=due_at,
        release_number=release,
        seconds=seconds,
        attached=attached,
        state=RunState.WAITING,
        created_at=now,
        limit="",
        output="",
    )
    return by_id(connection, connection.execute(row.returning(runs.c.id)).scalar_one())


def begin(connection: Connection, run_id: int, release: int, now: datetime) -> bool:
    """It runs from now on. False if it does not wait any more, or was destroyed with its Environment."""
    waiting = (runs.c.id == run_id, runs.c.state == RunState.WAITING)
    values = {"state": RunState.RUNNING, "started_at": now, "release_number": release}
    return connection.execute(runs.update().where(*waiting).values(values)).rowcount == 1


def finish(connection: Connection, run_id: int, ended: Exit, output: str, now: datetime) -> None:
    """The end of a Run. Nothing if it has ended already, or was destroyed with its Environment."""
    values = {
        "state": RunState.ENDED,
        "ended_at": now,
        "status": ended.status,
        "limit": ended.limit,
        "output": output,
    }
    connection.execute(runs.update().where(runs.c.id == run_id, _OPEN).values(values))


def unfinished(connection: Connection, environment_id: int | None = None, job: str = "") -> Sequence[Run]:
    """All Runs that have not ended, oldest first; with an Environment those of its `job`."""
    if environment_id is None:
        return _where(connection, _OPEN)
    return _where(connection, _OPEN, runs.c.environment_id == environment_id, runs.c.job == job)


def recent(connection: Connection, environment_id: int, job: str | None, limit: int) -> Sequence[Run]:
    """The last `limit` Runs of an Environment, newest first: of one cron job, of `hostd run` (""), of all (None)."""
    mine = [runs.c.environment_id == environment_id, *([] if job is None else [runs.c.job == job])]
    query = select(*_COLUMNS).where(*mine).order_by(runs.c.id.desc()).limit(limit)
    return [_run(row) for row in connection.execute(query)]


def by_id(connection: Connection, run_id: int) -> Run:
    """Raises NotFound."""
    found = _where(connection, runs.c.id == run_id)
    if not found:
        raise NotFound(f"there is no run {run_id}", hint="which there are: hostd runs")
    return found[0]


def output_of(connection: Connection, run_id: int) -> str:
    """The end of what it printed; "" while it runs, and for one that somebody sat at."""
    return str(connection.scalar(select(runs.c.output).where(runs.c.id == run_id)) or "")


def _forget_old(connection: Connection, *mine: ColumnElement[bool]) -> None:
    newest = select(runs.c.id).where(*mine).order_by(runs.c.id.desc()).limit(KEPT - 1)
    connection.execute(runs.delete().where(*mine, ~_OPEN, runs.c.id.not_in(newest)))


def _where(connection: Connection, *conditions: ColumnElement[bool]) -> list[Run]:
    query = select(*_COLUMNS).where(*conditions).order_by(runs.c.id)
    return [_run(row) for row in connection.execute(query)]


def _run(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        environment_id=row.environment_id,
        job=row.job,
        command=row.command,
        author=row.author,
        due_at=row.due_at,
        release=row.release_number,
        seconds=row.seconds,
        attached=row.attached,
        state=RunState(row.state),
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        exit=Exit(row.status, row.limit) if row.status is not None else None,
    )
