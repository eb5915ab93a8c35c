"""ConfigVars: name and value handed to Instances. A change is a Release of its own, with the Image there is.

A Preview has those that the App gives to all of its Previews, and its own, which win; production's it never has.
"""

import re
from collections.abc import Mapping

from sqlalchemy import Connection

from hostd.control.access import Action, authorize
from hostd.control.platform import Platform
from hostd.control.rollout import rollout
from hostd.control.turns import turn
from hostd.errors import Invalid
from hostd.model.app import App, Environment, User
from hostd.model.names import shown
from hostd.model.release import Release
from hostd.store import config_vars, previews, releases
from hostd.transcript import Transcript

VALUE_LIMIT = 64 * 1024  # bytes
TOTAL_LIMIT = 512 * 1024  # bytes of all values of an Environment
RULE = "A to Z, a to z, 0 to 9 and _, beginning with a letter or _, at most 255"
RESERVED = frozenset({"PORT", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BASH_ENV", "ENV", "IFS"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


async def change_config(
    platform: Platform,
    app: App,
    environment: Environment,
    actor: User,
    changes: Mapping[str, str | None],
    transcript: Transcript,
) -> Release | None:
    """Set the names in `changes` (None: unset) and roll the change out. None if nothing is deployed yet.

    Raises Invalid for a name or value that breaks the rules, RolloutFailed if the app does not start with the new
    values: then the old ones stay.
    """
    authorize(actor, Action.CHANGE_CONFIG, app)
    check_changes(changes)
    async with turn(platform, environment):
        shared = await _shared(platform, environment)
        own = await _own(platform, environment)
        before, after = {**shared, **own}, {**shared, **_changed(own, changes)}
        _check_total(after)
        former = await platform.db.read(releases.live, environment.id, platform.secrets.decrypt_mapping)

        def store(connection: Connection) -> None:
            _store(connection, platform, environment.id, changes)

        if former is None:
            await platform.db.call(store)
            return None
        release = await platform.db.call(
            releases.create,
            environment.id,
            former.image,
            platform.secrets.encrypt_mapping(after),
            former.commit,
            described(before, after),
            actor.name,
            platform.now(),
            after,
        )
        return await rollout(platform, environment, release, transcript, store)


async def config_of(platform: Platform, environment: Environment) -> Mapping[str, str]:
    """The ConfigVars of an Environment, by name."""
    return {**await _shared(platform, environment), **await _own(platform, environment)}


async def change_preview_config(
    platform: Platform, app: App, actor: User, changes: Mapping[str, str | None]
) -> None:
    """Set what all Previews of the App have (None: unset); each has it from its next Release on. Raises Invalid."""
    authorize(actor, Action.CHANGE_CONFIG, app)
    check_changes(changes)
    _check_total(_changed(await preview_config_of(platform, app.id), changes))

    def store(connection: Connection) -> None:
        for name, value in changes.items():
            if value is None:
                previews.unset_config_var(connection, app.id, name)
            else:
                previews.set_config_var(connection, app.id, name, platform.secrets.encrypt(value.encode()))

    await platform.db.call(store)


async def preview_config_of(platform: Platform, app_id: int) -> Mapping[str, str]:
    """The ConfigVars that all Previews of an App have, by name."""
    return _decrypted(platform, await platform.db.read(previews.config_of, app_id))


async def _shared(platform: Platform, environment: Environment) -> Mapping[str, str]:
    shares = environment.preview and not environment.fork
    return await preview_config_of(platform, environment.app_id) if shares else {}


async def _own(platform: Platform, environment: Environment) -> Mapping[str, str]:
    return _decrypted(platform, await platform.db.read(config_vars.of, environment.id))


def _decrypted(platform: Platform, stored: Mapping[str, bytes]) -> Mapping[str, str]:
    return {name: platform.secrets.decrypt(value).decode() for name, value in stored.items()}


def _changed(config: Mapping[str, str], changes: Mapping[str, str | None]) -> Mapping[str, str]:
    return {name: value for name, value in {**config, **changes}.items() if value is not None}


def check_changes(changes: Mapping[str, str | None]) -> None:
    """Raises Invalid naming the variable and the rule; never the value, it may be a secret."""
    if not changes:
        raise Invalid("no config variable was named", hint="hostd config set NAME=value")
    for name, value in changes.items():
        if not _NAME.fullmatch(name):
            raise Invalid(f"{shown(name)} is not a name for a config variable: {RULE}")
        if name in RESERVED or name.startswith("HOSTD_"):
            raise Invalid(f"{name} is reserved: hostd or the system sets it")
        if value is not None and "\0" in value:
            raise Invalid(f"the value of {name} holds a NUL byte", hint="encode it, for example as base64")
        if value is not None and len(value.encode(errors="surrogatepass")) > VALUE_LIMIT:
            raise Invalid(f"the value of {name} is too long (at most {VALUE_LIMIT // 1024} KiB)")


def described(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """What changed, by name only: `set A, B; unset C`."""
    changed = sorted(name for name, value in after.items() if before.get(name) != value)
    gone = sorted(before.keys() - after.keys())
    parts = [f"{verb} {', '.join(names)}" for verb, names in (("set", changed), ("unset", gone)) if names]
    return "; ".join(parts) or "config unchanged"


def _check_total(config: Mapping[str, str]) -> None:
    if sum(len(name) + len(value.encode()) for name, value in config.items()) > TOTAL_LIMIT:
        raise Invalid(f"the config is too large in all (at most {TOTAL_LIMIT // 1024} KiB)")


def _store(
    connection: Connection, platform: Platform, environment_id: int, changes: Mapping[str, str | None]
) -> None:
    for name, value in changes.items():
        if value is None:
            config_vars.unset(connection, environment_id, name)
        else:
            config_vars.set(connection, environment_id, name, platform.secrets.encrypt(value.encode()))
