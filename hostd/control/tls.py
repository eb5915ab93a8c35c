"""What an App says about TLS: whether plain HTTP is sent on to HTTPS, and whether browsers are to insist on it."""

import asyncio
from dataclasses import replace

from hostd.control.access import Action, authorize
from hostd.control.domains import route_of_domain
from hostd.control.platform import Platform
from hostd.control.routing import route_of
from hostd.errors import Invalid
from hostd.model.app import App, Environment, TlsSettings, User
from hostd.store import domains, environments, tls

HSTS_LONGEST = 2 * 366 * 24 * 3600  # seconds; more than a year is what preload lists ask for


async def tls_of(platform: Platform, app: App) -> TlsSettings:
    """What holds at the App's hosts."""
    return await platform.db.read(tls.settings_of, app.id)


async def change_tls(
    platform: Platform, app: App, actor: User, *, redirect: bool | None = None, hsts: int | None = None
) -> TlsSettings:
    """Change what is not None, at once and at all hosts of the App. Raises Invalid."""
    authorize(actor, Action.MANAGE_DOMAINS, app)
    if hsts is not None and not 0 <= hsts <= HSTS_LONGEST:
        raise Invalid(f"browsers cannot be told to insist on HTTPS for {hsts} s: 0 (off) to {HSTS_LONGEST}")
    settings = await tls_of(platform, app)
    if redirect is not None:
        settings = replace(settings, redirect=redirect)
    if hsts is not None:
        settings = replace(settings, hsts=hsts)
    await platform.db.call(tls.set_settings, app.id, settings)
    its = await platform.db.read(environments.of_app, app.id)
    await asyncio.gather(*(_publish_again(platform, environment) for environment in its))
    return settings


async def _publish_again(platform: Platform, environment: Environment) -> None:
    async with platform.lock(environment):
        if keeper := platform.keepers.get(environment.id):
            keeper.environment = environment
            await keeper.publish()
        else:
            await platform.router.publish([route_of(environment, None, [])])
        its = await platform.db.read(domains.of_environment, environment.id)
        await platform.router.publish([route_of_domain(each, environment) for each in its if each.proved])
