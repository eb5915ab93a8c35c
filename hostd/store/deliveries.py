"""Deliveries of Forges: a queue that outlives hostd, and the log of what became of them.

A Forge's own id of a delivery is kept for DEDUPE, longer than any of them sends one again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from hostd.errors import Conflict, NotFound, RateLimited
from hostd.model.forge import Delivery, DeliveryState, Event, What
from hostd.store.tables import deliveries, forges

DEDUPE = timedelta(days=7)  # GitHub sends again for 3
KEPT = 1000  # of each Forge, beyond DEDUPE
MOST = 20_000  # of each Forge in any case: whoever has its secret can send without end
OPEN_LIMIT = 1000  # of each Forge that are queued, and as many that wait for approval
_WORK = (DeliveryState.WAITING, DeliveryState.QUEUED, DeliveryState.BUILDING)


def create(
    connection: Connection,
    forge_id: str,
    key: str,
    event: Event,
    branch: str,
    state: DeliveryState,
    now: datetime,
) -> Delivery | None:
    """A new Delivery; None if the Forge has delivered `key` before.

    A fork's pull request that changed takes the place of those before it that still wait for approval. Raises
    RateLimited while OPEN_LIMIT others have not had their turn.
    """
    if connection.scalar(select(deliveries.c.id).where(_of(forge_id), deliveries.c.key == key)) is not None:
        return None
    if event.what in (What.FORK, What.FORK_CLOSED):
        _end_waiting(connection, forge_id, event, now)
    _check_open(connection, forge_id, state)
    row = deliveries.insert().values(
        forge_id=forge_id,
        key=key,
        what=event.what,
        branch=branch,
        commit_id=event.commit,
        number=event.number,
        state=state,
        reason=event.note,
        release="",
        url="",
        report="",
        approved_by="",
        received_at=now,
        finished_at=None if state in _WORK else now,
    )
    delivery_id = connection.execute(row.returning(deliveries.c.id)).scalar_one()
    _forget_old(connection, forge_id, now)
    return _where(connection, deliveries.c.id == delivery_id)[0]


def take(connection: Connection, app_id: int, now: datetime) -> Delivery | None:
    """The next Delivery of an App to work on, BUILDING now; None if nothing is queued.

    Of several for one branch it is the newest; the others are SKIPPED, since the branch is deployed as it is by then.
    """
    queued = _where(connection, forges.c.app_id == app_id, deliveries.c.state == DeliveryState.QUEUED)
    if not queued:
        return None
    alike = [each for each in queued if each.branch == queued[0].branch]
    newest = alike[-1]
    for older in alike[:-1]:
        superseded = {"state": DeliveryState.SKIPPED, "reason": f"superseded by delivery {newest.id}"}
        _update(connection, older.id, superseded | {"finished_at": now})
    _update(connection, newest.id, {"state": DeliveryState.BUILDING})
    return by_id(connection, newest.id)


def finish(connection: Connection, delivery: Delivery) -> None:
    """Store how a Delivery ended. Nothing if it is not there any more."""
    names = ("state", "reason", "release", "url", "report", "finished_at")
    values = {name: getattr(delivery, name) for name in names}
    _update(connection, delivery.id, values | {"commit_id": delivery.commit})


def requeue_interrupted(connection: Connection) -> None:
    """At start: what an earlier hostd was working on is to be done again."""
    building = deliveries.update().where(deliveries.c.state == DeliveryState.BUILDING)
    connection.execute(building.values(state=DeliveryState.QUEUED))


def requeue(connection: Connection, delivery: Delivery) -> None:
    """Do it once more. Raises Conflict for one that is under way, or that waits for approval."""
    if delivery.state in _WORK:
        raise Conflict(f"delivery {delivery.id} is {delivery.state} already")
    if delivery.what is What.NOTHING:
        raise Conflict(f"delivery {delivery.id} has nothing to do: {delivery.reason}")
    if delivery.what is What.FORK and not delivery.approved_by:
        raise Conflict(f"delivery {delivery.id} was never approved", hint="have its commit delivered again")
    _update(
        connection,
        delivery.id,
        {"state": DeliveryState.QUEUED, "reason": "", "report": "", "finished_at": None},
    )


def approve(connection: Connection, delivery: Delivery, approved_by: str) -> None:
    """Queue one that waits. Raises Conflict if it does not wait any more."""
    update = deliveries.update().where(
        deliveries.c.id == delivery.id, deliveries.c.state == DeliveryState.WAITING
    )
    values = {"state": DeliveryState.QUEUED, "approved_by": approved_by, "reason": ""}
    if connection.execute(update.values(values)).rowcount == 0:
        raise Conflict(
            f"delivery {delivery.id} does not wait for approval: it is {delivery.state}",
            hint="which do: hostd forges pending",
        )


def by_id(connection: Connection, delivery_id: int) -> Delivery:
    """Raises NotFound."""
    found = _where(connection, deliveries.c.id == delivery_id)
    if not found:
        raise NotFound(f"there is no delivery {delivery_id}", hint="see which: hostd forges deliveries")
    return found[0]


def recent(connection: Connection, forge_id: str, limit: int) -> Sequence[Delivery]:
    """The last `limit` Deliveries of a Forge, newest first."""
    query = _query().where(_of(forge_id)).order_by(deliveries.c.id.desc()).limit(limit)
    return [_delivery(row) for row in connection.execute(query)]


def waiting(connection: Connection, forge_id: str) -> Sequence[Delivery]:
    """Those that wait for approval, oldest first."""
    return _where(connection, _of(forge_id), deliveries.c.state == DeliveryState.WAITING)


def _end_waiting(connection: Connection, forge_id: str, event: Event, now: datetime) -> None:
    this = (_of(forge_id), deliveries.c.number == event.number)
    waits = deliveries.update().where(*this, deliveries.c.state == DeliveryState.WAITING)
    reason = "the pull request was closed" if event.what is What.FORK_CLOSED else "a newer commit came"
    values = {"state": DeliveryState.SKIPPED, "reason": reason, "finished_at": now}
    connection.execute(waits.values(values))


def _check_open(connection: Connection, forge_id: str, state: DeliveryState) -> None:
    alike = select(func.count(deliveries.c.id)).where(_of(forge_id), deliveries.c.state == state)
    if state in _WORK and (connection.scalar(alike) or 0) >= OPEN_LIMIT:
        raise RateLimited(f"{OPEN_LIMIT} deliveries are {state} already", hint="deliver it again later")


def _forget_old(connection: Connection, forge_id: str, now: datetime) -> None:
    newest = select(deliveries.c.id).where(_of(forge_id)).order_by(deliveries.c.id.desc()).limit(KEPT)
    old = (_of(forge_id), deliveries.c.received_at < now - DEDUPE, deliveries.c.id.not_in(newest))
    connection.execute(deliveries.delete().where(*old, deliveries.c.state.not_in(_WORK)))
    beyond = connection.scalar(newest.with_only_columns(deliveries.c.id).limit(1).offset(MOST))
    if beyond is not None:
        more = (_of(forge_id), deliveries.c.id <= beyond, deliveries.c.state.not_in(_WORK))
        connection.execute(deliveries.delete().where(*more))


def _update(connection: Connection, delivery_id: int, values: dict[str, Any]) -> None:
    connection.execute(deliveries.update().where(deliveries.c.id == delivery_id).values(values))


def _of(forge_id: str) -> Any:
    return deliveries.c.forge_id == forge_id


def _query() -> Select[Any]:
    return select(deliveries, forges.c.app_id).join(forges, forges.c.id == deliveries.c.forge_id)


def _where(connection: Connection, *conditions: Any) -> list[Delivery]:
    query = _query().where(*conditions).order_by(deliveries.c.id)
    return [_delivery(row) for row in connection.execute(query)]


def _delivery(row: Row[Any]) -> Delivery:
    values = dict(row._mapping)
    values["commit"] = values.pop("commit_id")
    return Delivery(**{**values, "what": What(row.what), "state": DeliveryState(row.state)})
