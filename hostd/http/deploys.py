"""Routes about whether pushes are deployed."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictBool

from hostd.control.deploys import pause_deploys, pause_of, resume_deploys
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, TheEnvironment, Works
from hostd.http.models import Taken, Text
from hostd.model.pause import REASON_LIMIT, Pause

router = APIRouter(prefix=PREFIX, tags=["deploys"], dependencies=GATE)


class DeploysChange(Taken):
    """Whether pushes are refused from now on, and why."""

    paused: StrictBool = Field(examples=[True])
    reason: Text = Field("", max_length=REASON_LIMIT, examples=["the fair begins"])


class DeploysShown(BaseModel):
    """Whether pushes to an Environment are refused; if so, since when, by whom and why."""

    paused: bool = Field(examples=[True])
    author: str | None = Field(examples=["ada"])
    reason: str | None = Field(examples=["rollback to v3"])
    since: datetime | None

    @staticmethod
    def of(pause: Pause | None) -> "DeploysShown":
        """The Pause as it is shown."""
        if pause is None:
            return DeploysShown(paused=False, author=None, reason=None, since=None)
        return DeploysShown(paused=True, author=pause.author, reason=pause.reason, since=pause.since)


@router.get("/apps/{app}/deploys")
async def get_deploys(environment: TheEnvironment, platform: Works) -> DeploysShown:
    """Whether pushes are deployed."""
    return DeploysShown.of(await pause_of(platform, environment))


@router.patch("/apps/{app}/deploys")
async def patch_deploys(
    actor: Actor, the_app: TheApp, environment: TheEnvironment, platform: Works, change: DeploysChange
) -> DeploysShown:
    """Pause deploys, or resume them. While they are paused, pushes are refused before anything is built."""
    if not change.paused:
        await resume_deploys(platform, the_app, environment, actor)
        return DeploysShown.of(None)
    return DeploysShown.of(await pause_deploys(platform, the_app, environment, actor, change.reason))
