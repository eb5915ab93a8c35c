"""Routes about autoscaling: the rule by which an Environment has its web Instances."""

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field, StrictInt

from hostd.control.autoscale import autoscale_of, set_autoscale, stop_autoscaling
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, TheEnvironment, Works
from hostd.http.models import Taken
from hostd.model.autoscale import AutoscaleRule

router = APIRouter(prefix=PREFIX, tags=["autoscaling"], dependencies=GATE)
Whole = Annotated[StrictInt, Field(ge=-(2**53), le=2**53)]


class AutoscaleChanges(Taken):
    """What changes of the rule; a null `p95_ms` is no such target."""

    least: Whole = Field(1, alias="min", examples=[1])
    most: Whole = Field(1, alias="max", examples=[5])
    concurrency: Whole = Field(20, examples=[20])
    p95_ms: Whole | None = Field(None, examples=[500])


class AutoscaleShown(BaseModel):
    """From `min` to `max` web Instances, so that each has `concurrency` requests at once or fewer, and that 95 % of the
    requests are answered within `p95_ms`."""

    min: int = Field(examples=[1])
    max: int = Field(examples=[5])
    concurrency: int = Field(examples=[20])
    p95_ms: int | None = Field(examples=[500])

    @staticmethod
    def of(rule: AutoscaleRule) -> "AutoscaleShown":
        """The rule as it is shown."""
        return AutoscaleShown(min=rule.least, max=rule.most, concurrency=rule.concurrency, p95_ms=rule.p95_ms)


@router.get("/apps/{app}/autoscale")
async def get_autoscale(environment: TheEnvironment, platform: Works) -> AutoscaleShown | None:
    """The rule, or null."""
    rule = await autoscale_of(platform, environment)
    return AutoscaleShown.of(rule) if rule else None


@router.patch("/apps/{app}/autoscale")
async def patch_autoscale(
    actor: Actor,
    the_app: TheApp,
    environment: TheEnvironment,
    platform: Works,
    changes: Annotated[AutoscaleChanges, Body()],
) -> AutoscaleShown:
    """Change the rule, or make one."""
    given = changes.model_dump(exclude_unset=True)
    return AutoscaleShown.of(await set_autoscale(platform, the_app, actor, environment, given))


@router.delete("/apps/{app}/autoscale", status_code=204)
async def delete_autoscale(
    actor: Actor, the_app: TheApp, environment: TheEnvironment, platform: Works
) -> None:
    """Scale by hand again. As many Instances go on as run now."""
    await stop_autoscaling(platform, the_app, actor, environment)
