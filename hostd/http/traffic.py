"""The route about traffic: what was asked of an Environment of late."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from hostd.control.traffic import Seen, traffic_of
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, TheEnvironment, Works
from hostd.model.traffic import KEPT, Traffic

router = APIRouter(prefix=PREFIX, tags=["traffic"], dependencies=GATE)
Seconds = Annotated[int, Query(ge=1, le=KEPT, examples=[60])]


class TrafficShown(BaseModel):
    """The requests that ended in some seconds. Latencies in milliseconds, at most 5 % off; null without requests."""

    requests: int = Field(examples=[1200])
    per_second: float = Field(examples=[20.0])
    statuses: Mapping[str, int] = Field(examples=[{"2xx": 1190, "5xx": 10}])
    errors: int = Field(examples=[10], description="How many were answered 5xx.")
    p50_ms: float | None = Field(examples=[12.1])
    p95_ms: float | None = Field(examples=[48.4])
    p99_ms: float | None = Field(examples=[110.2])

    @staticmethod
    def of(traffic: Traffic) -> "TrafficShown":
        """Traffic as it is shown."""
        return TrafficShown(
            requests=traffic.requests,
            per_second=round(traffic.per_second, 2),
            statuses={f"{digit}xx": count for digit, count in sorted(traffic.statuses.items())},
            errors=traffic.errors,
            p50_ms=_milliseconds(traffic.percentile(50)),
            p95_ms=_milliseconds(traffic.percentile(95)),
            p99_ms=_milliseconds(traffic.percentile(99)),
        )


class TrafficInfo(TrafficShown):
    """The same with what is under way now, by Release, and second by second, oldest first."""

    seconds: int = Field(examples=[60])
    under_way: int = Field(examples=[3])
    releases: Mapping[str, TrafficShown]
    history: Sequence[TrafficShown]

    @staticmethod
    def of_environment(seen: Seen) -> "TrafficInfo":
        """What an Environment was asked, as it is shown."""
        return TrafficInfo(
            **TrafficShown.of(seen.total).model_dump(),
            seconds=seen.total.seconds,
            under_way=seen.under_way,
            releases={name: TrafficShown.of(traffic) for name, traffic in seen.releases.items()},
            history=[TrafficShown.of(traffic) for traffic in seen.history],
        )


@router.get("/apps/{app}/traffic")
async def get_traffic(
    actor: Actor, the_app: TheApp, environment: TheEnvironment, platform: Works, seconds: Seconds = 60
) -> TrafficInfo:
    """Requests, statuses and latencies of the last seconds, and how many requests are under way."""
    return TrafficInfo.of_environment(await traffic_of(platform, the_app, actor, environment, seconds))


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
