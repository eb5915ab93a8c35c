"""Routes about the repository that an App follows, and what it delivered."""

from collections.abc import Sequence

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from hostd.control import forges
from hostd.control.pulling import pull_now
from hostd.http.forge_models import DeliveryShown, ForgeConnected, ForgeShown, NewForge, TheBranch
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, Works
from hostd.http.models import Id
from hostd.http.release_models import ReleaseShown
from hostd.http.streaming import streamed

router = APIRouter(prefix=f"{PREFIX}/apps/{{app}}/forge", tags=["forges"], dependencies=GATE)


@router.get("")
async def show(the_app: TheApp, platform: Works) -> ForgeShown:
    """The repository that the App follows."""
    forge = await forges.forge_of(platform, the_app)
    return ForgeShown.of(forge, forges.webhook_of(platform, forge))


@router.post("", status_code=201)
async def connect(actor: Actor, the_app: TheApp, platform: Works, wanted: NewForge) -> ForgeConnected:
    """Follow a repository. Answers with the webhook's URL and secret, which is shown this once."""
    kind = forges.kind_of(wanted.kind)
    connected = await forges.connect(
        platform, the_app, actor, kind, wanted.repository, wanted.token, wanted.api
    )
    return ForgeConnected.of(connected)


@router.delete("", status_code=204)
async def disconnect(actor: Actor, the_app: TheApp, platform: Works) -> None:
    """Follow it no more. What runs stays."""
    await forges.disconnect(platform, the_app, actor)


@router.get("/deliveries")
async def list_deliveries(the_app: TheApp, platform: Works, waiting: bool = False) -> Sequence[DeliveryShown]:
    """The last 100, newest first; or those that wait for approval, oldest first."""
    look = forges.pending_of if waiting else forges.deliveries_of
    return [DeliveryShown.model_validate(delivery) for delivery in await look(platform, the_app)]


@router.post("/deliveries/{delivery_id}/approve", status_code=202)
async def approve(actor: Actor, the_app: TheApp, platform: Works, delivery_id: Id) -> DeliveryShown:
    """Deploy the commit of a fork's pull request, this one alone, without config variables."""
    return DeliveryShown.model_validate(await forges.approve(platform, the_app, actor, delivery_id))


@router.post("/deliveries/{delivery_id}/redeliver", status_code=202)
async def redeliver(actor: Actor, the_app: TheApp, platform: Works, delivery_id: Id) -> DeliveryShown:
    """Work on a delivery once more."""
    return DeliveryShown.model_validate(await forges.redeliver(platform, the_app, actor, delivery_id))


@router.post("/pull", response_class=StreamingResponse)
async def pull(actor: Actor, the_app: TheApp, platform: Works, wanted: TheBranch) -> StreamingResponse:
    """Deploy a branch as it is at the forge now. Answers with NDJSON lines, then the Release."""
    return await streamed(
        platform,
        lambda transcript: pull_now(platform, the_app, actor, wanted.branch, transcript),
        lambda release: ReleaseShown.of(release).model_dump(mode="json"),
    )
