"""Routes about Apps."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from hostd.control.apps import app_details, create_app, destroy_app, list_apps
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, Works
from hostd.http.models import AppInfo, AppShown, NewApp
from hostd.store import formation, releases

router = APIRouter(prefix=PREFIX, tags=["apps"], dependencies=GATE)


@router.get("/apps")
async def list_(actor: Actor, platform: Works) -> Sequence[AppShown]:
    """The Apps you may see, by name."""
    return [AppShown.of(details) for details in await list_apps(platform, actor)]


@router.post("/apps", status_code=201)
async def create(actor: Actor, platform: Works, wanted: NewApp) -> AppShown:
    """A new App, with a repository to push to."""
    app = await create_app(platform, actor, wanted.name)
    return AppShown.of(await app_details(platform, app))


@router.get("/apps/{app}")
async def info(the_app: TheApp, platform: Works) -> AppInfo:
    """An App, its live Release and its Formation."""
    details = await app_details(platform, the_app)
    decrypt = platform.secrets.decrypt_mapping
    live = await platform.db.read(releases.live, details.environment.id, decrypt)
    wanted = await platform.db.read(formation.of, details.environment.id)
    return AppInfo(**AppShown.of(details).model_dump(), release=live.name if live else None, formation=wanted)


@router.delete("/apps/{app}", status_code=204)
async def destroy(
    the_app: TheApp, platform: Works, confirm: Annotated[str, Query(max_length=100)] = ""
) -> None:
    """Destroy an App and all it has. `confirm` is its name, again. The name cannot be used again."""
    await destroy_app(platform, the_app, confirm)
