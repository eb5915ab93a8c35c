"""Routes about the canary of an Environment: how it stands, and ending it before its time."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from hostd.control.canary import CanaryStatus, canary_of, end_canary
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, TheEnvironment, Works
from hostd.http.models import Taken
from hostd.http.traffic import TrafficShown

router = APIRouter(prefix=PREFIX, tags=["canary"], dependencies=GATE)


class CanaryEnd(Taken):
    """Which way it ends."""

    end: Literal["promote", "abort"] = Field(examples=["promote"])


class CanaryShown(BaseModel):
    """A new Release with its part of the requests, and the old one with the rest."""

    weight: int = Field(examples=[10], description="Percent of the requests.")
    seconds: int = Field(examples=[300], description="How long it lasts.")
    elapsed: int = Field(examples=[45])
    new: str = Field(examples=["v13"])
    old: str = Field(examples=["v12"])
    new_traffic: TrafficShown
    old_traffic: TrafficShown

    @staticmethod
    def of(status: CanaryStatus) -> "CanaryShown":
        """The canary as it is shown."""
        return CanaryShown(
            weight=status.rule.weight,
            seconds=status.rule.seconds,
            elapsed=status.elapsed,
            new=status.new,
            old=status.old,
            new_traffic=TrafficShown.of(status.new_traffic),
            old_traffic=TrafficShown.of(status.old_traffic),
        )


@router.get("/apps/{app}/canary")
async def get_canary(environment: TheEnvironment, platform: Works) -> CanaryShown:
    """How it stands; 404 if none is under way."""
    return CanaryShown.of(canary_of(platform, environment).status)


@router.patch("/apps/{app}/canary")
async def patch_canary(
    actor: Actor, the_app: TheApp, environment: TheEnvironment, platform: Works, wanted: CanaryEnd
) -> CanaryShown:
    """End it: the new Release goes live, or the old one has all requests again. The push tells the rest."""
    promote = wanted.end == "promote"
    return CanaryShown.of(end_canary(platform, the_app, actor, environment, promote=promote))
