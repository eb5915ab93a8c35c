"""Releases: numbered from 1 in each Environment without gaps or repeats, written once, then only moved.

`config` is stored encrypted: `create` is given both forms, and whoever reads brings the function that decrypts.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from hostd.errors import Conflict, NotFound
from hostd.model.image import Image
from hostd.model.release import MOVES, Release, ReleaseState
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
    )
    release_id = connection.execute(row.returning(releases.c.id)).scalar_one()
    return Release(
        release_id, environment_id, number, ReleaseState.STARTING, image, plain, commit, reason, author, now
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


def starting(connection: Connection, decrypt: Decrypt) -> Sequence[Release]:
    """All Releases, of all Environments, that are STARTING: after a start of hostd, those left half-way."""
    return _all(
        connection, select(releases).where(_in(ReleaseState.STARTING)).order_by(releases.c.id), decrypt
    )


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
    )
