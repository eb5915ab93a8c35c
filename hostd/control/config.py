"""ConfigVars: name and value handed to an app. A change is a Release of its own, with the Image there is.

Where an Environment's come from, what is later winning: for production the ConfigGroups attached to it in the order
they were, then its own; for a Preview what production shares with Previews, what all Previews have, ConfigGroups
attached to it, its own.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence

from sqlalchemy import Connection

from hostd.control.access import Action, authorize
from hostd.control.platform import Platform
from hostd.control.rollout import rollout
from hostd.control.secrets import Secrets
from hostd.control.turns import turn
from hostd.errors import Conflict, Invalid
from hostd.model.app import PRODUCTION, App, Environment, User
from hostd.model.config import (
    GENERATED_LONGEST,
    GENERATED_SHORTEST,
    Config,
    ConfigChange,
    ConfigChanges,
    ConfigVar,
    Scope,
    changed,
    check_changes,
    check_total,
    described,
    differing,
    for_previews,
    in_scope,
)
from hostd.model.config_group import ConfigGroup
from hostd.model.release import Release
from hostd.store import config_groups, config_vars, environments, releases
from hostd.store.config_vars import Holder, StoredVar
from hostd.transcript import Transcript

OWN, OF_PREVIEWS = "own", "all previews"  # sources
Sourced = Sequence[tuple[str, Config]]  # where they come from, what is later winning


async def change_config(
    platform: Platform,
    app: App,
    environment: Environment,
    actor: User,
    changes: ConfigChanges,
    transcript: Transcript,
    expected: str | None = None,
) -> Release | None:
    """Change the names in `changes` and roll it out. None if nothing is deployed yet.

    `expected` is the `version_of` the config that the actor saw. Raises Conflict if it is another one by now, Invalid
    for a name or value that breaks the rules, RolloutFailed if the app does not start with the new values: then the
    old ones stay.
    """
    authorize(actor, Action.CHANGE_CONFIG, app)
    check_changes(changes)
    if environment.preview:
        check_not_shared(changes)
    async with turn(platform, environment, transcript):
        sources = await sources_of(platform, environment)
        before = merged(sources)
        if expected not in (None, version_of(platform, before)):
            raise Conflict(
                "the config was changed by somebody else meanwhile",
                hint="look at it again: hostd config list",
            )
        own = changed(dict(sources)[OWN], changes)
        live = await platform.db.read(releases.live, environment.id, platform.secrets.decrypt_mapping)
        if live and own == dict(sources)[OWN] and live.config == in_scope(before, Scope.RUN):
            transcript.detail("nothing changed: no new release")
            return live
        after = merged([*sources[:-1], (OWN, own)])
        check_total(after)

        def store(connection: Connection) -> None:
            store_changes(connection, platform.secrets, config_vars.environment(environment.id), own, changes)

        note_later(before, after, transcript)
        return await release_config(
            platform, environment, actor, after, described(before, after), transcript, store
        )


async def release_config(
    platform: Platform,
    environment: Environment,
    actor: User,
    config: Config,
    reason: str,
    transcript: Transcript,
    store: Callable[[Connection], None] = lambda _: None,
) -> Release | None:
    """Roll the live Image out with another config; `store` is kept only if it goes live. None: nothing is deployed.

    The caller has the Environment's turn. Raises as `rollout` does.
    """
    former = await platform.db.read(releases.live, environment.id, platform.secrets.decrypt_mapping)
    if former is None:
        await platform.db.call(store)
        return None
    given = in_scope(config, Scope.RUN)
    release = await platform.db.call(
        releases.create,
        environment.id,
        former.image,
        platform.secrets.encrypt_mapping(given),
        former.commit,
        reason,
        actor.name,
        platform.now(),
        given,
    )
    return await rollout(platform, environment, release, transcript, store)


async def config_of(platform: Platform, environment: Environment) -> Mapping[str, str]:
    """What Instances of an Environment are given, by name."""
    return in_scope(await all_config_of(platform, environment), Scope.RUN)


async def all_config_of(platform: Platform, environment: Environment) -> Config:
    """The ConfigVars of an Environment, of every scope."""
    return merged(await sources_of(platform, environment))


async def sources_of(platform: Platform, environment: Environment) -> Sourced:
    """The same, still apart by where they come from; the Environment's own are the last."""
    return await platform.db.read(_sources, platform.secrets, environment)


async def change_preview_config(platform: Platform, app: App, actor: User, changes: ConfigChanges) -> Config:
    """Change what all Previews of the App have; each has it from its next Release on. Raises Invalid."""
    authorize(actor, Action.CHANGE_CONFIG, app)
    check_changes(changes)
    check_not_shared(changes)
    holder = config_vars.previews(app.id)

    def store(connection: Connection) -> Config:
        after = changed(held(connection, platform.secrets, holder), changes)
        check_total(after)
        store_changes(connection, platform.secrets, holder, after, changes)
        return after

    return await platform.db.call(store)


async def preview_config_of(platform: Platform, app_id: int) -> Config:
    """The ConfigVars that all Previews of an App have, by name."""
    return await platform.db.read(held, platform.secrets, config_vars.previews(app_id))


def version_of(platform: Platform, config: Config) -> str:
    """Another one for every other config; tells nothing about the values."""
    return platform.secrets.fingerprint(
        {name: [var.value, var.secret, sorted(var.scopes)] for name, var in config.items()}
    )


def generated(length: int, scopes: frozenset[Scope] | None = None) -> ConfigChange:
    """A new random secret of `length` URL-safe characters that nobody has seen. Raises Invalid."""
    if not GENERATED_SHORTEST <= length <= GENERATED_LONGEST:
        raise Invalid(
            f"a generated secret has {GENERATED_SHORTEST} to {GENERATED_LONGEST} characters, not {length}"
        )
    return ConfigChange(secrets.token_urlsafe(length)[:length], secret=True, scopes=scopes)


def source_of(group: ConfigGroup) -> str:
    """What a ConfigGroup is called as a source."""
    return f"group {group.name}"


def merged(sources: Sourced) -> dict[str, ConfigVar]:
    """What is later wins."""
    return {name: var for _, config in sources for name, var in config.items()}


def note_later(before: Config, after: Config, transcript: Transcript) -> None:
    """Say which of the changes reach Builds and Previews, and when."""
    touched = [name for names in differing(before, after) for name in names]
    for scope, words in ((Scope.BUILD, "builds see"), (Scope.PREVIEW, "previews have")):
        reached = in_scope(before, scope).keys() | in_scope(after, scope).keys()
        if names := [name for name in touched if name in reached]:
            when = "push" if scope is Scope.BUILD else "release of each"
            transcript.detail(f"{words} the change of {', '.join(names)} from the next {when} on")


def check_not_shared(changes: ConfigChanges) -> None:
    """Raises Invalid for the scope that only production's ConfigVars have."""
    for name, change in changes.items():
        if change and change.scopes and Scope.PREVIEW in change.scopes:
            raise Invalid(f"{name} is not production's: only what production has is shared with previews")


def held(connection: Connection, key: Secrets, holder: Holder) -> Config:
    """What one holder has, decrypted."""
    return {
        name: ConfigVar(key.decrypt(var.value).decode(), var.secret, var.scopes)
        for name, var in config_vars.of(connection, holder).items()
    }


def store_changes(
    connection: Connection, key: Secrets, holder: Holder, after: Config, changed: Iterable[str]
) -> None:
    """Store the names in `changed` as they are in `after`: not there, they are forgotten."""
    for name in changed:
        if name in after:
            var = after[name]
            stored = StoredVar(key.encrypt(var.value.encode()), var.secret, var.scopes)
            config_vars.set(connection, holder, name, stored)
        else:
            config_vars.unset(connection, holder, name)


def _sources(connection: Connection, key: Secrets, environment: Environment) -> Sourced:
    sources: list[tuple[str, Config]] = []
    if environment.preview and not environment.fork:
        production = environments.by_name(connection, environment.app_id, PRODUCTION)
        shared = for_previews(merged(_sources(connection, key, production)))
        sources.append((PRODUCTION, shared))
        sources.append((OF_PREVIEWS, held(connection, key, config_vars.previews(environment.app_id))))
    for group in config_groups.attached_to(connection, environment.id):
        sources.append((source_of(group), held(connection, key, config_vars.group(group.id))))
    sources.append((OWN, held(connection, key, config_vars.environment(environment.id))))
    return sources
