"""The ConfigVars that an app's app.json wants to begin with: set before its first Build, and then left alone."""

from collections.abc import Sequence

from sqlalchemy import Connection

from hostd.control.config import all_config_of, generated, held, store_changes
from hostd.control.platform import Platform
from hostd.errors import Invalid
from hostd.model.app import Environment
from hostd.model.app_json import FILE, WantedVar, wanted_vars
from hostd.model.config import RESERVED, ConfigChange, changed, check_name, check_total, check_value
from hostd.model.push import Push
from hostd.store import config_vars
from hostd.transcript import Transcript

GENERATED_LENGTH = 64


async def set_first_config(
    platform: Platform, environment: Environment, push: Push, transcript: Transcript
) -> None:
    """Give an Environment in which nothing runs yet the values and generated secrets that app.json names.

    Raises Invalid for an app.json that cannot be read, and for required ConfigVars without a value, naming them: but
    for a fork, which is given nothing anyway.
    """
    if environment.id in platform.keepers:
        return
    wanted = await _missing(platform, environment, push)
    lacking = [each for each in wanted if each.required and each.value is None and not each.generate]
    if lacking and not environment.fork:
        for each in lacking:
            transcript.detail(f"{each.name}: {each.description or 'no description'}")
        raise _lacking(environment, lacking)
    changes = {each.name: _change(each) for each in wanted if each.generate or each.value is not None}
    if not changes:
        return

    def store(connection: Connection) -> None:
        holder = config_vars.environment(environment.id)
        after = changed(held(connection, platform.secrets, holder), changes)
        check_total(after)
        store_changes(connection, platform.secrets, holder, after, changes)

    await platform.db.call(store)
    transcript.detail(f"{FILE}: set {', '.join(changes)}")


async def _missing(platform: Platform, environment: Environment, push: Push) -> Sequence[WantedVar]:
    with platform.repositories.reader(push.app, push.quarantine) as reader:
        content = reader.file(reader.tree_of(push.commit), FILE.encode())
    if content is None:
        return ()
    there = await all_config_of(platform, environment)
    wanted = [each for each in wanted_vars(content) if each.name not in there and each.name not in RESERVED]
    for each in wanted:
        check_name(each.name)
        check_value(each.name, each.value or "")
    return wanted


def _change(wanted: WantedVar) -> ConfigChange:
    if wanted.generate and wanted.value is None:
        return generated(GENERATED_LENGTH)
    return ConfigChange(wanted.value)


def _lacking(environment: Environment, lacking: Sequence[WantedVar]) -> Invalid:
    names = ", ".join(each.name for each in lacking)
    values = " ".join(f"{each.name}=..." for each in lacking)
    whose = " --previews" if environment.preview else ""
    return Invalid(
        f"{FILE} requires config that is not set: {names}",
        hint=f"set it, then push again: hostd config set -a {environment.app}{whose} {values}",
    )
