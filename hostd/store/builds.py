"""Builds, each with its Transcript. A Build that hostd did not see the end of is `interrupted`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from hostd.errors import Conflict, NotFound
from hostd.model.build import Build, BuildState
from hostd.store.tables import builds

# A Transcript is megabytes, so lists of Builds leave it where it is.
_COLUMNS = [column for column in builds.c if column.name != "transcript"]


def start(connection: Connection, environment_id: int, commit: str, author: str, now: datetime) -> int:
    """A new Build, running; its id."""
    row = builds.insert().values(
        environment_id=environment_id,
        commit_id=commit,
        author=author,
        state=BuildState.RUNNING,
        started_at=now,
        reason="",
        transcript="",
    )
    build_id = connection.execute(row.returning(builds.c.id)).scalar_one()
    return int(build_id)


def finish(
    connection: Connection,
    build_id: int,
    state: BuildState,
    transcript: str,
    reason: str,
    release_number: int | None,
    now: datetime,
) -> None:
    """The end of a running Build. Raises Conflict if it is not running."""
    values = {
        "state": state,
        "finished_at": now,
        "transcript": transcript,
        "reason": reason,
        "release_number": release_number,
    }
    running = (builds.c.id == build_id, builds.c.state == BuildState.RUNNING)
    if connection.execute(builds.update().where(*running).values(values)).rowcount == 0:
        raise Conflict(f"build {build_id} is not running")


def recent(connection: Connection, environment_id: int, limit: int) -> Sequence[Build]:
    """The last `limit` Builds of the Environment, newest first."""
    query = select(*_COLUMNS).where(builds.c.environment_id == environment_id)
    return [_build(row) for row in connection.execute(query.order_by(builds.c.id.desc()).limit(limit))]


def by_id(connection: Connection, build_id: int) -> Build:
    """Raises NotFound."""
    row = connection.execute(select(*_COLUMNS).where(builds.c.id == build_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no build with the id {build_id}")
    return _build(row)


def of_release(connection: Connection, environment_id: int, number: int) -> Build | None:
    """The Build that led to the Release; None for one made without, as by a rollback."""
    query = select(*_COLUMNS).where(
        builds.c.environment_id == environment_id, builds.c.release_number == number
    )
    row = connection.execute(query.order_by(builds.c.id.desc())).first()
    return _build(row) if row else None


def transcript_of(connection: Connection, build_id: int) -> str:
    """What the pusher saw; "" while the Build runs. Raises NotFound."""
    text = connection.scalar(select(builds.c.transcript).where(builds.c.id == build_id))
    if text is None:
        raise NotFound(f"there is no build with the id {build_id}")
    return str(text)


def interrupt_running(connection: Connection, now: datetime) -> int:
    """Mark what still seems to run as interrupted: called when hostd starts, so nothing can. How many it were."""
    running = builds.update().where(builds.c.state == BuildState.RUNNING)
    values = {"state": BuildState.INTERRUPTED, "finished_at": now, "reason": "hostd was stopped meanwhile"}
    return connection.execute(running.values(values)).rowcount


def _build(row: Row[Any]) -> Build:
    return Build(
        id=row.id,
        environment_id=row.environment_id,
        commit=row.commit_id,
        author=row.author,
        state=BuildState(row.state),
        started_at=row.started_at,
        finished_at=row.finished_at,
        reason=row.reason,
        release_number=row.release_number,
    )
