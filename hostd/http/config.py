"""Routes about ConfigVars: of an Environment, of all Previews, of ConfigGroups."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Response
from fastapi.responses import StreamingResponse

from hostd.control import groups
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
    GroupName,
    GroupShown,
    NewGroup,
    ReleaseNumber,
    changes_of,
    config_shown,
    sources_shown,
)
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, TheEnvironment, Works
from hostd.http.models import ReleaseShown
from hostd.http.streaming import streamed
from hostd.model.release import Release

router = APIRouter(prefix=PREFIX, tags=["config"], dependencies=GATE)
Changes = Annotated[ConfigChangesTaken, Body()]


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
    changes: Changes,
    if_match: Annotated[str | None, Header(max_length=100, description="The ETag that was seen.")] = None,
) -> StreamingResponse:
    """Set ConfigVars; null unsets. Answers with NDJSON lines, then the new Release, or null if none was needed."""
    wanted = changes_of(changes)
    expected = if_match.strip('" ') if if_match not in (None, "*") else None
    return await streamed(
        platform,
        lambda transcript: change_config(platform, the_app, environment, actor, wanted, transcript, expected),
        _release_shown,
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
    actor: Actor, the_app: TheApp, platform: Works, changes: Changes
) -> Mapping[str, ConfigVarShown]:
    """Set ConfigVars of all Previews; null unsets. Each Preview has them from its next Release on."""
    return config_shown(
        await change_preview_config(platform, the_app, actor, changes_of(changes)), OF_PREVIEWS
    )


@router.get("/groups")
async def list_groups(actor: Actor, platform: Works) -> Sequence[GroupShown]:
    """The ConfigGroups one may change."""
    return [GroupShown.of(details) for details in await groups.list_groups(platform, actor)]


@router.post("/groups", status_code=201)
async def create_group(actor: Actor, platform: Works, wanted: NewGroup) -> GroupShown:
    """A new, empty ConfigGroup."""
    group = await groups.create_group(platform, actor, wanted.name)
    return GroupShown.of(groups.GroupDetails(group, {}, ()))


@router.get("/groups/{group}")
async def show_group(actor: Actor, platform: Works, group: GroupName) -> GroupShown:
    """A ConfigGroup with what is in it."""
    return GroupShown.of(await groups.find_group(platform, actor, group))


@router.patch("/groups/{group}", response_class=StreamingResponse)
async def patch_group(actor: Actor, platform: Works, group: GroupName, changes: Changes) -> StreamingResponse:
    """Set ConfigVars of a ConfigGroup; null unsets. Answers with NDJSON lines, then the new Releases."""
    wanted = changes_of(changes)
    return await streamed(
        platform,
        lambda transcript: groups.change_group(platform, actor, group, wanted, transcript),
        lambda releases: [_release_shown(release) for release in releases],
    )


@router.delete("/groups/{group}", status_code=204)
async def destroy_group(actor: Actor, platform: Works, group: GroupName) -> None:
    """Forget a ConfigGroup that is attached nowhere."""
    await groups.destroy_group(platform, actor, group)


@router.put("/apps/{app}/groups/{group}", response_class=StreamingResponse)
async def attach_group(
    actor: Actor, the_app: TheApp, environment: TheEnvironment, platform: Works, group: GroupName
) -> StreamingResponse:
    """Attach a ConfigGroup. Answers with NDJSON lines, then the new Release, or null if none was needed."""
    return await streamed(
        platform,
        lambda transcript: groups.attach_group(platform, the_app, environment, actor, group, transcript),
        _release_shown,
    )


@router.delete("/apps/{app}/groups/{group}", response_class=StreamingResponse)
async def detach_group(
    actor: Actor, the_app: TheApp, environment: TheEnvironment, platform: Works, group: GroupName
) -> StreamingResponse:
    """Detach a ConfigGroup. Answers with NDJSON lines, then the new Release, or null if none was needed."""
    return await streamed(
        platform,
        lambda transcript: groups.detach_group(platform, the_app, environment, actor, group, transcript),
        _release_shown,
    )


def _release_shown(release: Release | None) -> Any:
    return ReleaseShown.of(release).model_dump(mode="json") if release else None
