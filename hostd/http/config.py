"""Routes about ConfigVars: of an Environment, of all Previews."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Response
from fastapi.responses import StreamingResponse

from hostd.control.config import (
    OF_PREVIEWS,
    change_config,
    change_preview_config,
    merged,
    preview_config_of,
    sources_of,
    version_of,
)
from hostd.control.config_diff import diff_of_releases, diff_with_preview
from hostd.errors import Invalid
from hostd.http.config_models import (
    ConfigChangesTaken,
    ConfigVarShown,
    DifferenceShown,
    ReleaseNumber,
    changes_of,
    config_shown,
    sources_shown,
)
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, TheEnvironment, Works
from hostd.http.release_models import ReleaseShown
from hostd.http.streaming import streamed
from hostd.model.release import Release

router = APIRouter(prefix=PREFIX, tags=["config"], dependencies=GATE)


@router.get("/apps/{app}/config")
async def get_config(
    environment: TheEnvironment, platform: Works, response: Response
) -> Mapping[str, ConfigVarShown]:
    """The ConfigVars an Environment has, wherever they come from. The ETag is for `If-Match` of a change."""
    sources = await sources_of(platform, environment)
    response.headers["ETag"] = f'"{version_of(platform, merged(sources))}"'
    return sources_shown(sources)


@router.patch("/apps/{app}/config", response_class=StreamingResponse)
async def patch_config(
    actor: Actor,
    the_app: TheApp,
    environment: TheEnvironment,
    platform: Works,
    changes: Annotated[ConfigChangesTaken, Body()],
    if_match: Annotated[str | None, Header(max_length=100, description="The ETag that was seen.")] = None,
) -> StreamingResponse:
    """Set ConfigVars; null unsets. Answers with NDJSON lines, then the new Release, or null if none was needed."""
    wanted = changes_of(changes)
    expected = if_match.strip('" ') if if_match not in (None, "*") else None
    return await streamed(
        platform,
        lambda transcript: change_config(platform, the_app, environment, actor, wanted, transcript, expected),
        release_shown,
    )


@router.get("/apps/{app}/config/diff")
async def diff(
    actor: Actor,
    the_app: TheApp,
    environment: TheEnvironment,
    platform: Works,
    first: ReleaseNumber = None,
    second: ReleaseNumber = None,
) -> Sequence[DifferenceShown]:
    """From production's config to that of the Preview that `preview` names, or from one Release's to another's."""
    if first and second:
        found = await diff_of_releases(platform, the_app, actor, environment, first, second)
    elif environment.preview and not (first or second):
        found = await diff_with_preview(platform, the_app, actor, environment)
    else:
        raise Invalid(
            "compare with a preview, or two releases",
            hint="hostd config diff -e BRANCH, or --from v3 --to v5",
        )
    return [DifferenceShown.model_validate(each) for each in found]


@router.get("/apps/{app}/previews/config")
async def get_preview_config(the_app: TheApp, platform: Works) -> Mapping[str, ConfigVarShown]:
    """The ConfigVars that all Previews have."""
    return config_shown(await preview_config_of(platform, the_app.id), OF_PREVIEWS)


@router.patch("/apps/{app}/previews/config")
async def patch_preview_config(
    actor: Actor, the_app: TheApp, platform: Works, changes: Annotated[ConfigChangesTaken, Body()]
) -> Mapping[str, ConfigVarShown]:
    """Set ConfigVars of all Previews; null unsets. Each Preview has them from its next Release on."""
    return config_shown(
        await change_preview_config(platform, the_app, actor, changes_of(changes)), OF_PREVIEWS
    )


def release_shown(release: Release | None) -> Any:
    """A Release as the result of a stream; None stays none."""
    return ReleaseShown.of(release).model_dump(mode="json") if release else None
