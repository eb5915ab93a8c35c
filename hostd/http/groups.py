"""Routes about ConfigGroups, and attaching them to Environments."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Body
from fastapi.responses import StreamingResponse

from hostd.control import groups
from hostd.http.config import release_shown
from hostd.http.config_models import ConfigChangesTaken, GroupName, GroupShown, NewGroup, changes_of
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, TheEnvironment, Works
from hostd.http.streaming import streamed

router = APIRouter(prefix=PREFIX, tags=["groups"], dependencies=GATE)


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
async def patch_group(
    actor: Actor, platform: Works, group: GroupName, changes: Annotated[ConfigChangesTaken, Body()]
) -> StreamingResponse:
    """Set ConfigVars of a ConfigGroup; null unsets. Answers with NDJSON lines, then the new Releases."""
    wanted = changes_of(changes)
    return await streamed(
        platform,
        lambda transcript: groups.change_group(platform, actor, group, wanted, transcript),
        lambda releases: [release_shown(release) for release in releases],
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
        release_shown,
    )


@router.delete("/apps/{app}/groups/{group}", response_class=StreamingResponse)
async def detach_group(
    actor: Actor, the_app: TheApp, environment: TheEnvironment, platform: Works, group: GroupName
) -> StreamingResponse:
    """Detach a ConfigGroup. Answers with NDJSON lines, then the new Release, or null if none was needed."""
    return await streamed(
        platform,
        lambda transcript: groups.detach_group(platform, the_app, environment, actor, group, transcript),
        release_shown,
    )
