"""What is asked of an Environment: the router's records, counted as they come, and shown with what is under way."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from hostd.control.access import Action, authorize
from hostd.control.platform import Platform
from hostd.control.routing import WEB
from hostd.model.app import App, Environment, User
from hostd.model.log import RequestRecord
from hostd.model.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Seen:
    """The last `total.seconds` seconds of an Environment, also by the name of each Release that answered, and second
    by second, oldest first. `under_way`: requests and WebSockets now."""

    total: Traffic
    releases: Mapping[str, Traffic]
    history: Sequence[Traffic]
    under_way: int


async def measure(platform: Platform, requests: AsyncIterator[RequestRecord]) -> None:
    """Count every request, until cancelled."""
    async for record in requests:
        if record.environment:  # anybody may ask for hosts that are nobody's, and for ever new ones
            platform.traffic.note(record)


async def traffic_of(
    platform: Platform, app: App, actor: User, environment: Environment, seconds: int
) -> Seen:
    """What an Environment was asked in the last `seconds` (1 to `model.traffic.KEPT`). Raises Unavailable."""
    authorize(actor, Action.SEE_APP, app)
    meter, label, now = platform.traffic, environment.label, platform.now().timestamp()
    return Seen(
        total=meter.of(label, now, seconds),
        releases={name: meter.of(label, now, seconds, name) for name in meter.releases(label, now, seconds)},
        history=[meter.of(label, now - ago, 1) for ago in range(seconds - 1, -1, -1)],
        under_way=await under_way(platform, environment),
    )


async def under_way(platform: Platform, environment: Environment) -> int:
    """Requests and WebSockets that its web Instances have to do with now. Raises Unavailable."""
    keeper = platform.keepers.get(environment.id)
    web = [each for each in keeper.instances if each.spec.process == WEB] if keeper else []
    return await platform.router.in_flight([instance.endpoint for instance in web]) if web else 0
