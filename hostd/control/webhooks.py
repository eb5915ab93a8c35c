"""A webhook's delivery: is it the forge's, was it there before, and what does it want. The answer does not wait for
more than the store: the work is done by `deliveries`."""

import asyncio

from hostd.control.platform import Platform
from hostd.control.statuses import report
from hostd.errors import Forbidden
from hostd.forges.base import Headers, event_of, key_of
from hostd.forges.dialects import DIALECTS
from hostd.model.forge import Delivery, DeliveryState, Event, Forge, Progress, What, branch_of_fork, path_of
from hostd.model.names import shown
from hostd.store import deliveries, forges

APPROVE = "a pull request of a fork waits for approval: hostd forges approve"


async def find(platform: Platform, forge_id: str) -> Forge:
    """The Forge whose webhook this is. Raises NotFound."""
    return await platform.db.read(forges.by_id, forge_id)


async def take(
    platform: Platform, forge: Forge, headers: Headers, body: bytes
) -> tuple[Event, Delivery | None]:
    """What a delivery says, and its record: None for what needs none, and for what was delivered before.

    Raises Unauthorized without a right signature, Forbidden for another repository's, Invalid.
    """
    event = await asyncio.to_thread(_read, platform, forge, headers, body)
    if event.what in (What.PING, What.OTHER):
        return event, None
    _check_repository(forge, event)
    state = {
        What.BRANCH: DeliveryState.QUEUED,
        What.FORK: DeliveryState.WAITING,
        What.FORK_CLOSED: DeliveryState.QUEUED,
        What.NOTHING: DeliveryState.SKIPPED,
    }[event.what]
    branch = branch_of_fork(event.number) if event.number else event.branch
    key = key_of(DIALECTS[forge.kind], headers, body)
    delivery = await platform.db.call(deliveries.create, forge.id, key, event, branch, state, platform.now())
    if delivery and state is DeliveryState.QUEUED:
        platform.queued.set()
    if delivery and state is DeliveryState.WAITING:
        platform.later(_ask_for_approval(platform, forge, delivery))
    return event, delivery


def _read(platform: Platform, forge: Forge, headers: Headers, body: bytes) -> Event:
    dialect = DIALECTS[forge.kind]
    dialect.check(headers, body, platform.secrets.decrypt(forge.secret).decode(), platform.now())
    return event_of(dialect, headers, body)


async def _ask_for_approval(platform: Platform, forge: Forge, delivery: Delivery) -> None:
    text = f"{APPROVE} {delivery.id}"
    await report(platform, forge, delivery, Progress.PENDING, text, platform.names.public_url)


def _check_repository(forge: Forge, event: Event) -> None:
    """A secret that was pasted into two repositories must not let one deploy the other's app."""
    if not f"/{path_of(forge.repository)}".lower().endswith(f"/{event.repository.lower()}"):
        raise Forbidden(
            f"this webhook is of {path_of(forge.repository)}, not of {shown(event.repository)}",
            hint="was it renamed? connect again with its new URL",
        )
