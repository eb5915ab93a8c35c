"""Routes about Previews, and what holds for all of an App's."""

from collections.abc import Sequence

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from hostd.control import previews
from hostd.control.push import create_preview
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, TheEnvironment, Works
from hostd.http.models import (
    PreviewSettingsChanges,
    PreviewSettingsShown,
    PreviewShown,
    ThePreview,
)
from hostd.http.release_models import ReleaseShown
from hostd.http.streaming import streamed

router = APIRouter(prefix=PREFIX, tags=["previews"], dependencies=GATE)


@router.get("/apps/{app}/previews")
async def list_previews(the_app: TheApp, platform: Works) -> Sequence[PreviewShown]:
    """The Previews of an App, oldest first."""
    return [PreviewShown.of(details) for details in await previews.previews_of(platform, the_app)]


@router.post("/apps/{app}/previews", response_class=StreamingResponse)
async def create(actor: Actor, the_app: TheApp, platform: Works, wanted: ThePreview) -> StreamingResponse:
    """Deploy a branch that was pushed before. Answers with NDJSON lines, then the Release."""
    return await streamed(
        platform,
        lambda transcript: create_preview(platform, the_app, actor, wanted.branch, transcript),
        lambda release: ReleaseShown.of(release).model_dump(mode="json"),
    )


@router.delete("/apps/{app}/previews", status_code=204)
async def destroy(actor: Actor, the_app: TheApp, environment: TheEnvironment, platform: Works) -> None:
    """Destroy the Preview that `preview` names, and all it has. Its branch stays."""
    await previews.destroy_preview(platform, the_app, actor, environment)


@router.get("/apps/{app}/previews/settings")
async def get_settings(the_app: TheApp, platform: Works) -> PreviewSettingsShown:
    """What holds for all Previews of an App."""
    return PreviewSettingsShown.of(await previews.settings_of(platform, the_app))


@router.patch("/apps/{app}/previews/settings")
async def patch_settings(
    actor: Actor, the_app: TheApp, platform: Works, changes: PreviewSettingsChanges
) -> PreviewSettingsShown:
    """Change what holds for all Previews of an App, at once."""
    settings = await previews.change_settings(
        platform,
        the_app,
        actor,
        enabled=changes.enabled,
        days=changes.days,
        password=changes.password,
    )
    return PreviewSettingsShown.of(settings)
