"""Routes about Releases and the Builds they come from."""

from collections.abc import Sequence

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from hostd.control.formers import url_of
from hostd.control.pins import changes_of, pin
from hostd.control.previews import environment_of
from hostd.control.releases import promote, releases_of, rollback
from hostd.errors import NotFound
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, TheEnvironment, Works
from hostd.http.models import (
    BuildInfo,
    BuildShown,
    Id,
    Limit,
    RollbackTo,
    ThePreview,
)
from hostd.http.release_models import ReleaseChange, ReleaseInfo, ReleaseShown
from hostd.http.streaming import streamed
from hostd.store import builds, releases

router = APIRouter(prefix=PREFIX, tags=["releases"], dependencies=GATE)


@router.get("/apps/{app}/releases")
async def list_releases(
    environment: TheEnvironment, platform: Works, limit: Limit = 20
) -> Sequence[ReleaseShown]:
    """The last Releases, newest first."""
    return [ReleaseShown.of(release) for release in await releases_of(platform, environment, limit)]


@router.get("/apps/{app}/releases/{number}")
async def release_info(
    the_app: TheApp, environment: TheEnvironment, platform: Works, number: Id
) -> ReleaseInfo:
    """One Release, with what it changed and the Transcript of its Build."""
    decrypt = platform.secrets.decrypt_mapping
    release = await platform.db.read(releases.by_number, environment.id, number, decrypt)
    build = await platform.db.read(builds.of_release, release.environment_id, number)
    transcript = await platform.db.read(builds.transcript_of, build.id) if build else None
    url = await url_of(platform, environment, release)
    changes = await changes_of(platform, the_app, release)
    return ReleaseInfo.with_changes(release, url, changes, build.id if build else None, transcript)


@router.patch("/apps/{app}/releases/{number}")
async def change_release(
    actor: Actor,
    the_app: TheApp,
    environment: TheEnvironment,
    platform: Works,
    number: Id,
    change: ReleaseChange,
) -> ReleaseShown:
    """Pin a Release, so that its Image is always kept, or let it go as others do."""
    return ReleaseShown.of(await pin(platform, the_app, environment, actor, number, change.pinned))


@router.post("/apps/{app}/rollback", response_class=StreamingResponse)
async def roll_back(
    actor: Actor, the_app: TheApp, environment: TheEnvironment, platform: Works, wanted: RollbackTo
) -> StreamingResponse:
    """Make a new Release of an earlier one's Image and config. Answers with NDJSON lines, then the Release."""
    return await streamed(
        platform,
        lambda transcript: rollback(
            platform, the_app, environment, actor, wanted.number, transcript, pause=wanted.pause
        ),
        lambda release: ReleaseShown.of(release).model_dump(mode="json"),
    )


@router.post("/apps/{app}/promote", response_class=StreamingResponse)
async def promote_preview(
    actor: Actor, the_app: TheApp, platform: Works, wanted: ThePreview
) -> StreamingResponse:
    """Make a Preview's Image live in production. Answers with NDJSON lines, then the Release."""
    preview = await environment_of(platform, the_app, wanted.branch)
    return await streamed(
        platform,
        lambda transcript: promote(platform, the_app, preview, actor, transcript),
        lambda release: ReleaseShown.of(release).model_dump(mode="json"),
    )


@router.get("/apps/{app}/builds")
async def list_builds(
    environment: TheEnvironment, platform: Works, limit: Limit = 20
) -> Sequence[BuildShown]:
    """The last Builds, newest first."""
    return [BuildShown.of(build) for build in await platform.db.read(builds.recent, environment.id, limit)]


@router.get("/apps/{app}/builds/{build_id}")
async def build_info(environment: TheEnvironment, platform: Works, build_id: Id) -> BuildInfo:
    """One Build with its Transcript."""
    build = await platform.db.read(builds.by_id, build_id)
    if build.environment_id != environment.id:
        raise NotFound(f"there is no build with the id {build_id}")
    return BuildInfo.with_transcript(build, await platform.db.read(builds.transcript_of, build_id))
