"""ConfigGroups: sets of ConfigVars that several Environments share. A change reaches each by a Release of its own."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from hostd.control.access import Action, authorize
from hostd.control.config import (
    all_config_of,
    held,
    merged,
    note_later,
    release_config,
    source_of,
    sources_of,
    store_changes,
)
from hostd.control.platform import Platform
from hostd.control.turns import turn
from hostd.errors import Conflict, HostdError, NotFound, RolloutFailed
from hostd.model.app import App, Environment, User
from hostd.model.config import Config, ConfigChanges, changed, check_changes, check_total, described
from hostd.model.config_group import ConfigGroup, check_group_name
from hostd.model.names import shown
from hostd.model.release import Release
from hostd.store import config_groups, config_vars
from hostd.transcript import Transcript

ROLLOUTS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class GroupDetails:
    """A ConfigGroup, what is in it, and where it is attached."""

    group: ConfigGroup
    config: Config
    places: Sequence[Environment]


async def create_group(platform: Platform, actor: User, name: str) -> ConfigGroup:
    """A new, empty ConfigGroup of `actor`'s. Raises Invalid, Conflict, LimitExceeded."""
    authorize(actor, Action.MANAGE_GROUPS)
    check_group_name(name)
    return await platform.db.call(config_groups.create, name, actor.id, platform.now())


async def list_groups(platform: Platform, actor: User) -> Sequence[GroupDetails]:
    """The ConfigGroups `actor` may change, by name."""
    authorize(actor, Action.MANAGE_GROUPS)

    def look(connection: Connection) -> Sequence[GroupDetails]:
        everybodys = actor.administrator
        found = (
            config_groups.list_all(connection) if everybodys else config_groups.list_of(connection, actor.id)
        )
        return [_details(connection, platform, group) for group in found]

    return await platform.db.read(look)


async def find_group(platform: Platform, actor: User, name: str) -> GroupDetails:
    """The ConfigGroup called `name`. Raises NotFound, in the same words if it is somebody else's."""
    authorize(actor, Action.MANAGE_GROUPS)
    try:
        group = await platform.db.read(config_groups.by_name, name)
    except NotFound as error:
        raise _no_such_group(name) from error
    if not actor.administrator and group.owner_id != actor.id:
        raise _no_such_group(name)
    return await platform.db.read(_details, platform, group)


async def destroy_group(platform: Platform, actor: User, name: str) -> None:
    """Forget a ConfigGroup and what is in it. Raises NotFound, Conflict while it is attached."""
    details = await find_group(platform, actor, name)
    await platform.db.call(config_groups.destroy, details.group.id)


async def change_group(
    platform: Platform, actor: User, name: str, changes: ConfigChanges, transcript: Transcript
) -> Sequence[Release]:
    """Change what is in a ConfigGroup, then roll it out to every Environment it is attached to, a few at a time.

    One that does not start with the new values keeps its Release, the others go on; the change itself stays, and who
    was not reached, also by a hostd that was killed, has it with the next Release. Raises Invalid, NotFound, and at
    the end RolloutFailed naming those that failed.
    """
    group = (await find_group(platform, actor, name)).group
    check_changes(changes)
    holder = config_vars.group(group.id)

    def store(connection: Connection) -> tuple[Config, Config]:
        before = held(connection, platform.secrets, holder)
        after = changed(before, changes)
        check_total(after)
        store_changes(connection, platform.secrets, holder, after, changes)
        return before, after

    before, after = await platform.db.call(store)
    transcript.commit()
    note_later(before, after, transcript)
    places = await platform.db.read(config_groups.places_of, group.id)
    return await _roll_out_everywhere(
        platform, actor, places, f"group {name}: {described(before, after)}", transcript
    )


async def attach_group(
    platform: Platform, app: App, environment: Environment, actor: User, name: str, transcript: Transcript
) -> Release | None:
    """Give an Environment what is in a ConfigGroup, over what others attached before give it, under its own.

    None: nothing is deployed yet. Raises NotFound, Conflict, Invalid, RolloutFailed: then it is not attached.
    """
    return await _tie(platform, app, environment, actor, name, transcript, attach=True)


async def detach_group(
    platform: Platform, app: App, environment: Environment, actor: User, name: str, transcript: Transcript
) -> Release | None:
    """Take it away again. Raises as `attach_group` does: then it is still attached."""
    return await _tie(platform, app, environment, actor, name, transcript, attach=False)


async def _tie(
    platform: Platform,
    app: App,
    environment: Environment,
    actor: User,
    name: str,
    transcript: Transcript,
    *,
    attach: bool,
) -> Release | None:
    authorize(actor, Action.CHANGE_CONFIG, app)
    async with turn(platform, environment):
        details = await find_group(platform, actor, name)
        sources, source = await sources_of(platform, environment), source_of(details.group)
        others = [each for each in sources if each[0] != source]
        if attach and len(others) < len(sources):
            raise Conflict(f"the config group {name} is attached to {environment.label} already")
        if not attach and len(others) == len(sources):
            raise NotFound(f"the config group {name} is not attached to {environment.label}")
        config = merged([*others[:-1], (source, details.config), others[-1]] if attach else others)
        check_total(config)

        def store(connection: Connection) -> None:
            tie = config_groups.attach if attach else config_groups.detach
            tie(connection, details.group.id, environment.id)

        note_later(merged(sources), config, transcript)
        reason = f"{'attached' if attach else 'detached'} group {name}"
        return await release_config(platform, environment, actor, config, reason, transcript, store)


async def _roll_out_everywhere(
    platform: Platform,
    actor: User,
    places: Sequence[Environment],
    reason: str,
    transcript: Transcript,
) -> Sequence[Release]:
    room = asyncio.Semaphore(ROLLOUTS_AT_ONCE)

    async def roll_out(place: Environment) -> Release | HostdError | None:
        said = Transcript()
        async with room:
            try:
                async with turn(platform, place) as environment:
                    config = await all_config_of(platform, environment)
                    check_total(config)
                    release = await release_config(platform, environment, actor, config, reason, said)
            except HostdError as error:
                transcript.warn(f"{place.label} keeps the release it has: {error.message}")
                for line in said.lines:
                    transcript.say(line)
                return error
        transcript.detail(
            f"{place.label}: {f'{release.name} is live' if release else 'nothing is deployed yet'}"
        )
        return release

    outcomes = await asyncio.gather(*(roll_out(place) for place in places))
    failed = [
        place.label
        for place, outcome in zip(places, outcomes, strict=True)
        if isinstance(outcome, HostdError)
    ]
    if failed:
        raise RolloutFailed(
            f"{len(failed)} of {len(places)} did not start with the change: {', '.join(failed)}",
            hint="the group is changed; these will have it with their next release",
        )
    return [outcome for outcome in outcomes if isinstance(outcome, Release)]


def _details(connection: Connection, platform: Platform, group: ConfigGroup) -> GroupDetails:
    config = held(connection, platform.secrets, config_vars.group(group.id))
    return GroupDetails(group, config, config_groups.places_of(connection, group.id))


def _no_such_group(name: str) -> NotFound:
    return NotFound(f"there is no config group {shown(name)}", hint="yours: hostd groups list")
