"""The FastAPI app: the API below /api/v1, its OpenAPI document, and the health of hostd itself."""

from importlib.metadata import version

from fastapi import FastAPI

from hostd.control.logs import LogBook
from hostd.control.platform import Platform
from hostd.http import (
    account,
    apps,
    autoscale,
    canary,
    certificates,
    config,
    cron,
    deploys,
    domains,
    forges,
    groups,
    keys,
    previews,
    problems,
    processes,
    releases,
    runs,
    traffic,
    webhooks,
)
from hostd.http.auth import Door
from hostd.http.git import git_routes
from hostd.http.intake import Intake


def create_app(platform: Platform, logbook: LogBook) -> FastAPI:
    """The app that serves this Platform."""
    app = FastAPI(
        title="hostd",
        version=version("hostd"),
        description=f"Push with git, and the code is live. {__doc__}",
        docs_url=None,  # its pages load scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.platform = platform
    app.state.logbook = logbook
    app.state.door = door = Door(platform)
    app.add_middleware(Intake)
    problems.install(app)
    for part in (
        account,
        keys,
        apps,
        releases,
        processes,
        config,
        groups,
        previews,
        traffic,
        autoscale,
        canary,
        domains,
        certificates,
        deploys,
        forges,
        webhooks,
        runs,
        cron,
    ):
        app.include_router(part.router)
    app.include_router(git_routes(platform, door))
    app.add_api_route("/healthz", healthz, include_in_schema=False)
    return app


async def healthz() -> dict[str, str]:
    """Whether hostd answers; says nothing else."""
    return {"status": "ok"}
