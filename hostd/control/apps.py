"""Creating, finding, listing and destroying Apps."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from hostd.control.access import Action, authorize, no_such_app
from hostd.control.platform import Platform
from hostd.control.removal import remove_all_of, remove_files_of
from hostd.control.routing import route_of
from hostd.control.turns import hold, turn
from hostd.errors import Invalid, NotFound
from hostd.model.app import PRODUCTION, App, Environment, User
from hostd.model.names import check_app_name
from hostd.model.push import check_branch
from hostd.store import apps, environments


@dataclass(frozen=True, slots=True)
class AppDetails:
    """An App with where it answers and where to push to."""

    app: App
    environment: Environment
    url: str
    git_url: str
    ssh_url: str | None


async def create_app(platform: Platform, actor: User, name: str) -> App:
    """A new App of `actor`'s, with production and an empty repository. Raises Invalid, Conflict, Unavailable."""
    authorize(actor, Action.CREATE_APP)
    check_app_name(name)
    app = await platform.db.call(_create, name, actor.id, platform.names.host(name), platform.now())
    try:
        await platform.repositories.create(app)
        await platform.router.publish([route_of(await production_of(platform, app), None, [])])
    except BaseException:
        await platform.repositories.remove(app)
        await platform.db.call(apps.erase, app.id)
        raise
    return app


async def find_app(platform: Platform, actor: User, action: Action, name: str) -> App:
    """The App called `name`, if `actor` may do `action` to it. Raises NotFound, in the same words for both reasons."""
    try:
        app = await platform.db.read(apps.by_name, name)
    except NotFound as error:
        raise no_such_app(name) from error
    authorize(actor, action, app)
    return app


async def list_apps(platform: Platform, actor: User) -> Sequence[AppDetails]:
    """The Apps `actor` may see, by name."""
    authorize(actor, Action.LIST_APPS)
    found = await platform.db.read(_visible, actor)
    return [app_details(platform, app, environment) for app, environment in found]


def app_details(platform: Platform, app: App, environment: Environment) -> AppDetails:
    """One App with one of its Environments."""
    names = platform.names
    return AppDetails(app, environment, names.url(environment), names.remote(app), names.ssh_remote(app.name))


async def production_of(platform: Platform, app: App) -> Environment:
    """The Environment that an App's production branch goes to."""
    return await platform.db.read(environments.by_name, app.id, PRODUCTION)


async def destroy_app(platform: Platform, app: App, actor: User, confirm: str) -> None:
    """Destroy all there is of an App: what runs, routes, releases, repository, files, logs. Its name stays taken.

    `confirm` has to be the App's name, else Invalid. The record goes first: what a crash leaves behind then belongs
    to no App, and is cleaned up as such.
    """
    authorize(actor, Action.DESTROY_APP, app)
    if confirm != app.name:
        raise Invalid(
            f"destroying {app.name} needs its name as confirmation", hint=f"confirm with: {app.name}"
        )
    async with AsyncExitStack() as held:
        await _hold_all(platform, app, held)
        await held.enter_async_context(platform.building[app.id])
        await held.enter_async_context(platform.sweeping[app.id])
        its_environments = await platform.db.read(environments.of_app, app.id)
        await platform.db.call(apps.destroy, app.id, platform.now())
        await remove_all_of(platform, its_environments)
        await remove_files_of(platform, app)


async def _hold_all(platform: Platform, app: App, held: AsyncExitStack) -> None:
    """Alone with every Environment of the App, also with a Preview that was made while its turn was waited for."""
    holds: set[str] = set()
    while True:
        its_environments = await platform.db.read(environments.of_app, app.id)
        labels = {environment.label for environment in its_environments}
        if labels <= holds:
            return
        await held.aclose()
        for environment in its_environments:
            if canary := platform.canaries.get(environment.id):
                canary.decide("the app is destroyed")  # else its turn comes in half an hour
        await hold(platform, labels, held)
        holds = labels


async def set_production_branch(platform: Platform, app: App, actor: User, branch: str) -> App:
    """From now on a push to `branch` goes to production; what runs there stays until then. Raises Invalid.

    A Preview that `branch` has stays as well, until its time is over or it is destroyed.
    """
    authorize(actor, Action.CHANGE_APP, app)
    check_branch(branch)
    async with turn(platform, await production_of(platform, app)):
        await platform.db.call(apps.set_production_branch, app.id, branch)
        await platform.repositories.set_head(app, branch)
    return await platform.db.read(apps.by_id, app.id)


def _create(connection: Connection, name: str, owner_id: int, host: str, now: datetime) -> App:
    app = apps.create(connection, name, owner_id, now)
    environments.create(connection, app, PRODUCTION, app.production_branch, host, now)
    return app


def _visible(connection: Connection, actor: User) -> list[tuple[App, Environment]]:
    mine = apps.list_all(connection) if actor.administrator else apps.list_of(connection, actor.id)
    production = {item.app_id: item for item in environments.every(connection) if item.name == PRODUCTION}
    return [(app, production[app.id]) for app in mine]
