"""Following a repository elsewhere: connecting an App to it, and what its owner can ask about it."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from hostd.control.access import Action, authorize
from hostd.control.platform import Platform
from hostd.errors import Invalid, NotFound
from hostd.forges.addresses import address_of
from hostd.forges.dialects import DIALECTS
from hostd.forges.gitlab import SECRET_PREFIX
from hostd.git.remote import Remote
from hostd.model.app import App, User
from hostd.model.forge import SHOWN_DELIVERIES, Delivery, Forge, Kind, check_repository, check_token
from hostd.store import deliveries, forges


@dataclass(frozen=True, slots=True)
class Connected:
    """A Forge with its webhook's URL; `secret` in plain, the only time it is seen."""

    forge: Forge
    webhook: str
    secret: str


async def connect(
    platform: Platform, app: App, actor: User, kind: Kind, repository: str, token: str, api: str
) -> Connected:
    """Have `app` follow `repository`; `token` "" for none, `api` "" for where that kind of forge has it.

    Raises Invalid for a URL, Conflict if the App follows a repository already, Unavailable for an unknown host.
    """
    authorize(actor, Action.MANAGE_FORGES, app)
    # All of them have it there; GitLab redirects from a URL without .git, and redirects are not followed.
    url = check_repository(repository, private=platform.private_forges).removesuffix(".git") + ".git"
    base = check_repository(api, private=platform.private_forges) if api else DIALECTS[kind].api(url)
    for place in (url, base):
        await address_of(place, private=platform.private_forges)
    secret = _new_secret()
    forge = Forge(
        id=secrets.token_hex(16),
        app_id=app.id,
        user_id=actor.id,
        kind=kind,
        repository=url,
        api=base,
        secret=platform.secrets.encrypt(secret.encode()),
        token=platform.secrets.encrypt(check_token(token).encode()) if token else None,
        created_at=platform.now(),
    )
    await platform.db.call(forges.create, forge)
    return Connected(forge, webhook_of(platform, forge), secret)


async def forge_of(platform: Platform, app: App) -> Forge:
    """What the App follows. Raises NotFound."""
    return await platform.db.read(forges.of_app, app.id)


async def disconnect(platform: Platform, app: App, actor: User) -> None:
    """Follow the repository no more: its webhook answers 404, what waits is dropped, what runs stays."""
    authorize(actor, Action.MANAGE_FORGES, app)
    await platform.db.call(forges.remove, await forge_of(platform, app))


async def deliveries_of(platform: Platform, app: App) -> Sequence[Delivery]:
    """The last SHOWN_DELIVERIES, newest first."""
    forge = await forge_of(platform, app)
    return await platform.db.read(deliveries.recent, forge.id, SHOWN_DELIVERIES)


async def pending_of(platform: Platform, app: App) -> Sequence[Delivery]:
    """Pull requests of forks that wait for approval, oldest first."""
    return await platform.db.read(deliveries.waiting, (await forge_of(platform, app)).id)


async def approve(platform: Platform, app: App, actor: User, delivery_id: int) -> Delivery:
    """Deploy the very commit of a fork that this Delivery names. Raises NotFound, Conflict."""
    authorize(actor, Action.PUSH, app)
    delivery = await _delivery(platform, app, delivery_id)
    await platform.db.call(deliveries.approve, delivery, actor.name)
    platform.queued.set()
    return await _delivery(platform, app, delivery_id)


async def redeliver(platform: Platform, app: App, actor: User, delivery_id: int) -> Delivery:
    """Work on a Delivery once more. Raises NotFound, Conflict."""
    authorize(actor, Action.PUSH, app)
    delivery = await _delivery(platform, app, delivery_id)
    await platform.db.call(deliveries.requeue, delivery)
    platform.queued.set()
    return await _delivery(platform, app, delivery_id)


def webhook_of(platform: Platform, forge: Forge) -> str:
    """The URL to give to the forge."""
    return f"{platform.names.public_url}/webhooks/forge/{forge.id}"


async def remote_of(platform: Platform, forge: Forge) -> Remote:
    """Where to fetch from. Raises Unavailable for an unknown host, Invalid for one at a private address."""
    address = await address_of(forge.repository, private=platform.private_forges)
    return Remote(forge.repository, address, token_of(platform, forge))


def token_of(platform: Platform, forge: Forge) -> str:
    """The Forge's token in plain, "" for none."""
    return platform.secrets.decrypt(forge.token).decode() if forge.token else ""


def kind_of(name: str) -> Kind:
    """Raises Invalid for a kind there is none of."""
    try:
        return Kind(name)
    except ValueError as error:
        raise Invalid("that kind of forge is not known", hint=f"one of: {', '.join(Kind)}") from error


async def _delivery(platform: Platform, app: App, delivery_id: int) -> Delivery:
    delivery = await platform.db.read(deliveries.by_id, delivery_id)
    if delivery.app_id != app.id:
        raise NotFound(f"there is no delivery {delivery_id}", hint="see which: hostd forges deliveries")
    return delivery


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
