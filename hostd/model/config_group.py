"""ConfigGroup: a named set of ConfigVars that several Environments share."""

import re
from dataclasses import dataclass

from hostd.errors import Invalid
from hostd.model.names import shown

GROUPS_LIMIT = 100  # of one User
RULE = "2 to 40 of a-z, 0-9 and -, beginning with a letter, ending with a letter or digit"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class ConfigGroup:
    """Its owner and administrators change it. Its ConfigVars are below an Environment's own."""

    id: int
    name: str
    owner_id: int


def check_group_name(name: str) -> str:
    """`name`, if a ConfigGroup may have it. Raises Invalid."""
    if not _NAME.fullmatch(name):
        raise Invalid(f"{shown(name)} is not a name for a config group: {RULE}")
    return name
