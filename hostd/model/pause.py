"""Pause: pushes to an Environment are refused until somebody lets them through again."""

from dataclasses import dataclass
from datetime import datetime

from hostd.errors import Invalid

REASON_LIMIT = 200  # characters


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when, by whom and why: `reason` is "rollback to v3", or what the `author` wrote, or ""."""

    author: str
    reason: str
    since: datetime

    def __str__(self) -> str:
        """As it goes on behind "paused": `since ada's rollback to v3`."""
        if self.reason.startswith("rollback to "):
            return f"since {self.author}'s {self.reason}"
        return f"by {self.author}" + (f": {self.reason}" if self.reason else "")


def check_reason(reason: str) -> str:
    """`reason`, if a person may give it. Raises Invalid."""
    if len(reason) > REASON_LIMIT or not reason.isprintable():
        raise Invalid(f"that is no reason for a pause: one line of at most {REASON_LIMIT} characters")
    return reason
