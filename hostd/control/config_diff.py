"""What differs between two configs: production's and a Preview's, or those of two Releases. Secrets stay masked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hostd.control.access import Action, authorize
from hostd.control.apps import production_of
from hostd.control.config import all_config_of
from hostd.control.platform import Platform
from hostd.model.app import App, Environment, User
from hostd.model.config import ConfigVar
from hostd.store import releases


class Kind(StrEnum):
    """What became of a name between the first config and the second."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One name; `before` and `after` are None where it is not there, or must not be shown."""

    name: str
    kind: Kind
    before: str | None = None
    after: str | None = None


async def diff_with_preview(
    platform: Platform, app: App, actor: User, preview: Environment
) -> Sequence[Difference]:
    """From production's config to that of one of its Previews."""
    authorize(actor, Action.READ_CONFIG, app)
    production = await all_config_of(platform, await production_of(platform, app))
    return differences(production, await all_config_of(platform, preview))


async def diff_of_releases(
    platform: Platform, app: App, actor: User, environment: Environment, first: int, second: int
) -> Sequence[Difference]:
    """From what Release `first` gave its Instances to what `second` did, by name only: a Release does not keep which
    of them were secrets. Raises NotFound."""
    authorize(actor, Action.READ_CONFIG, app)
    decrypt = platform.secrets.decrypt_mapping
    before = await platform.db.read(releases.by_number, environment.id, first, decrypt)
    after = await platform.db.read(releases.by_number, environment.id, second, decrypt)
    return differences(_hidden(before.config), _hidden(after.config))


def differences(before: Mapping[str, ConfigVar], after: Mapping[str, ConfigVar]) -> Sequence[Difference]:
    """By name. A value is shown only if it is a secret on neither side."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old and new and old.value == new.value:
            continue
        kind = Kind.CHANGED if old and new else Kind.REMOVED if old else Kind.ADDED
        hidden = any(var.secret for var in (old, new) if var)
        shown = (None, None) if hidden else (old.value if old else None, new.value if new else None)
        found.append(Difference(name, kind, *shown))
    return found


def _hidden(config: Mapping[str, str]) -> Mapping[str, ConfigVar]:
    return {name: ConfigVar(value, secret=True) for name, value in config.items()}
