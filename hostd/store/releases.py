"""Releases: numbered from 1 in each Environment without gaps or repeats, written once, then only moved.

`config` is stored encrypted: `create` is given both forms, and whoever reads brings the function that decrypts.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Subquery, func, or_, select

from hostd.errors import Conflict, LimitExceeded, NotFound
from hostd.model.image import Image
from hostd.model.release import MOVES, PINS_LIMIT, Release, ReleaseState
from hostd.store.tables import releases

Decrypt = Callable[[bytes], Mapping[str, str]]


def create(  # noqa: PLR0913 (a row's columns)
    connection: Connection,
    environment_id: int,
    image: Image,
    config: bytes,
    commit: str,
    reason: str,
    author: str,
    now: datetime,
    plain: Mapping[str, str],
    repeats: int | None = None,
) -> Release:
    """The Environment's next Release, STARTING. `config` is `plain`, encrypted."""
    highest = select(func.max(releases.c.number)).where(releases.c.environment_id == environment_id)
    number = (connection.scalar(highest) or 0) + 1
    row = releases.insert().values(
        environment_id=environment_id,
        number=number,
        state=ReleaseState.STARTING,
        image=image.to_json(),
        config=config,
        commit_id=commit,
        reason=reason,
        author=author,
        created_at=now,
        failure="",
        repeats=repeats,
    )
    release_id = connection.execute(row.returning(releases.c.id)).scalar_one()
    state = ReleaseState.STARTING
    return Release(
        release_id, environment_id, number, state, image, plain, commit, reason, author, now, "", repeats
    )


def move(connection: Connection, release: Release) -> None:
    """Store the state and failure of a Release that was moved; one that goes live retires the one before.

    Raises Conflict if what is stored is not in a state that MOVES leads from.
    """
    if release.state is ReleaseState.LIVE:
        connection.execute(
            releases.update()
            .where(releases.c.environment_id == release.environment_id, _in(ReleaseState.LIVE))
            .values(state=ReleaseState.RETIRED)
        )
    before = [state for state, after in MOVES.items() if release.state in after]
    update = releases.update().where(releases.c.id == release.id, releases.c.state.in_(before))
    values = {"state": release.state, "failure": release.failure}
    if connection.execute(update.values(values)).rowcount == 0:
        raise Conflict(f"{release.name} cannot become {release.state}: it was moved meanwhile")


def live(connection: Connection, environment_id: int, decrypt: Decrypt) -> Release | None:
    """The Release that serves; None before the first."""
    found = _all(connection, _of(environment_id).where(_in(ReleaseState.LIVE)), decrypt)
    return found[0] if found else None


def by_number(connection: Connection, environment_id: int, number: int, decrypt: Decrypt) -> Release:
    """Raises NotFound."""
    found = _all(connection, _of(environment_id).where(releases.c.number == number), decrypt)
    if not found:
        raise NotFound(f"there is no release v{number}", hint="see which there are: hostd releases")
    return found[0]


def recent(connection: Connection, environment_id: int, limit: int, decrypt: Decrypt) -> Sequence[Release]:
    """The last `limit` Releases of the Environment, newest first."""
    return _all(connection, _of(environment_id).order_by(releases.c.number.desc()).limit(limit), decrypt)


def kept(connection: Connection, environment_id: int, limit: int, decrypt: Decrypt) -> Sequence[Release]:
    """The Releases that may run (again): the last `limit` that did not fail, and pinned ones. Newest first."""
    well = _of(environment_id).where(releases.c.state != ReleaseState.FAILED)
    last = select(_latest(environment_id, limit).c.number)
    kept = or_(releases.c.number.in_(last), releases.c.pinned)
    return _all(connection, well.where(kept).order_by(releases.c.number.desc()), decrypt)


def addressable(
    connection: Connection, environment_id: int, limit: int
) -> tuple[Mapping[int, int], Sequence[int]]:
    """The origins, by number, of those that went live and whose Image `kept` gives; the numbers of the others."""
    last = {row.number for row in connection.execute(select(_latest(environment_id, limit)))}
    columns = (releases.c.number, releases.c.repeats, releases.c.pinned, releases.c.state)
    rows = connection.execute(_of(environment_id).with_only_columns(*columns)).all()
    images = {row.repeats or row.number for row in rows if row.number in last or row.pinned}
    served = {
        row.number: row.repeats or row.number
        for row in rows
        if row.state in (ReleaseState.LIVE, ReleaseState.RETIRED)
    }
    there = {number: origin for number, origin in served.items() if origin in images}
    return there, [number for number in served if number not in there]


def before(connection: Connection, environment_id: int, number: int, decrypt: Decrypt) -> Release | None:
    """The last Release before `number` that went live."""
    earlier = _of(environment_id).where(
        releases.c.number < number, releases.c.state.in_([ReleaseState.LIVE, ReleaseState.RETIRED])
    )
    found = _all(connection, earlier.order_by(releases.c.number.desc()).limit(1), decrypt)
    return found[0] if found else None


def set_pinned(connection: Connection, release: Release, pinned: bool) -> None:
    """Keep the Release's Image for as long as it is pinned. Raises LimitExceeded past PINS_LIMIT of an Environment."""
    others = (releases.c.environment_id == release.environment_id, releases.c.id != release.id)
    count = select(func.count()).where(*others, releases.c.pinned.is_(True))
    if pinned and (connection.scalar(count) or 0) >= PINS_LIMIT:
        raise LimitExceeded(f"at most {PINS_LIMIT} releases are pinned", hint="hostd releases unpin vN")
    connection.execute(releases.update().where(releases.c.id == release.id).values(pinned=pinned))


def starting(connection: Connection, decrypt: Decrypt) -> Sequence[Release]:
    """All Releases, of all Environments, that are STARTING: after a start of hostd, those left half-way."""
    return _all(
        connection, select(releases).where(_in(ReleaseState.STARTING)).order_by(releases.c.id), decrypt
    )


def _latest(environment_id: int, limit: int) -> Subquery:
    well = _of(environment_id).where(releases.c.state != ReleaseState.FAILED)
    numbers = well.with_only_columns(releases.c.number).order_by(releases.c.number.desc())
    return numbers.limit(limit).subquery()


def _of(environment_id: int) -> Select[Any]:
    return select(releases).where(releases.c.environment_id == environment_id)


def _in(state: ReleaseState) -> ColumnElement[bool]:
    return releases.c.state == state


def _all(connection: Connection, query: Select[Any], decrypt: Decrypt) -> list[Release]:
    return [_release(row, decrypt) for row in connection.execute(query)]


def _release(row: Row[Any], decrypt: Decrypt) -> Release:
    return Release(
        id=row.id,
        environment_id=row.environment_id,
        number=row.number,
        state=ReleaseState(row.state),
        image=Image.from_json(row.image),
        config=decrypt(row.config),
        commit=row.commit_id,
        reason=row.reason,
        author=row.author,
        created_at=row.created_at,
        failure=row.failure,
        repeats=row.repeats,
        pinned=row.pinned,
    )
