"""A User's SSH keys: adding, listing, removing them, and the ring of them that logins over SSH are checked against.

The ring (`Platform.keyring`) is in memory, since a login may ask about many keys and must not wait for a database.
"""

import contextlib
from collections.abc import Sequence

from hostd.control.access import Action, authorize
from hostd.control.platform import Platform
from hostd.errors import Unauthorized, Unavailable
from hostd.model.app import User
from hostd.model.ssh_key import SshKey, parse
from hostd.store import ssh_keys, users


async def add_key(platform: Platform, actor: User, text: str, name: str | None) -> SshKey:
    """Let this key speak for `actor`, from now on. Raises Invalid as `model.ssh_key.parse` does, Conflict."""
    authorize(actor, Action.MANAGE_KEYS)
    key = parse(text)
    called = name or key.comment or key.fingerprint
    added = await platform.db.call(ssh_keys.create, actor.id, key, called, platform.now())
    platform.keyring[added.fingerprint] = actor.id
    return added


async def list_keys(platform: Platform, actor: User) -> Sequence[SshKey]:
    """The keys of `actor`, newest first."""
    authorize(actor, Action.MANAGE_KEYS)
    return await platform.db.read(ssh_keys.list_of, actor.id)


async def remove_key(platform: Platform, actor: User, key_id: int) -> None:
    """From now on the key opens nothing. Raises NotFound if it is not one of `actor`'s."""
    authorize(actor, Action.MANAGE_KEYS)
    platform.keyring.pop(await platform.db.call(ssh_keys.remove, actor.id, key_id), None)


async def load_keyring(platform: Platform) -> None:
    """Fill the ring from the store, once at the start."""
    platform.keyring.update(await platform.db.read(ssh_keys.owners))


async def user_of_key(platform: Platform, fingerprint: str) -> User:
    """Who logged in with this key. Raises Unauthorized if it was removed since."""
    if fingerprint not in platform.keyring:
        raise Unauthorized("this key was removed", hint="your keys: hostd keys list")
    user = await platform.db.read(users.by_id, platform.keyring[fingerprint])
    with contextlib.suppress(Unavailable):  # a full disk does not keep people out
        await platform.db.call(ssh_keys.used, fingerprint, platform.now())
    return user
