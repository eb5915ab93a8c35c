"""Routes about Apps."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from hostd.control.apps import (
    app_details,
    create_app,
    destroy_app,
    list_apps,
    production_of,
    set_production_branch,
)
from hostd.control.platform import Platform
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, TheEnvironment, Works
from hostd.http.models import AppChanges, AppInfo, AppShown, NewApp
from hostd.model.app import App
from hostd.store import formation, releases

router = APIRouter(prefix=PREFIX, tags=["apps"], dependencies=GATE)


@router.get("/apps")
async def list_(actor: Actor, platform: Works) -> Sequence[AppShown]:
    """The Apps you may see, by name."""
    return [AppShown.of(details) for details in await list_apps(platform, actor)]


@router.post("/apps", status_code=201)
async def create(actor: Actor, platform: Works, wanted: NewApp) -> AppShown:
    """A new App, with a repository to push to."""
    return await _shown(platform, await create_app(platform, actor, wanted.name))


@router.get("/apps/{app}")
async def info(the_app: TheApp, environment: TheEnvironment, platform: Works) -> AppInfo:
    """An App, its live Release and its Formation."""
    details = app_details(platform, the_app, environment)
    live = await platform.db.read(releases.live, environment.id, platform.secrets.decrypt_mapping)
    wanted = await platform.db.read(formation.of, environment.id)
    return AppInfo(**AppShown.of(details).model_dump(), release=live.name if live else None, formation=wanted)


@router.patch("/apps/{app}")
async def change(actor: Actor, the_app: TheApp, platform: Works, wanted: AppChanges) -> AppShown:
    """Change which branch production runs, from the next push on."""
    return await _shown(
        platform, await set_production_branch(platform, the_app, actor, wanted.production_branch)
    )


@router.delete("/apps/{app}", status_code=204)
async def destroy(
    actor: Actor, the_app: TheApp, platform: Works, confirm: Annotated[str, Query(max_length=100)] = ""
) -> None:
    """Destroy an App and all it has. `confirm` is its name, again. The name cannot be used again."""
    await destroy_app(platform, the_app, actor, confirm)


async def _shown(platform: Platform, app: App) -> AppShown:
    return AppShown.of(app_details(platform, app, await production_of(platform, app)))
