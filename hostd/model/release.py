"""Release: Image + config + process types, v1, v2, ... in an Environment; immutable, only moved through its states."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from hostd.errors import Conflict
from hostd.model.image import Image

KEPT = (
    10  # Releases of an Environment whose Images are kept, beside pinned ones; those that failed do not count
)
PINS_LIMIT = 20  # Releases of an Environment


class ReleaseState(StrEnum):
    """Where a Release is in its life; the moves between them are MOVES."""

    STARTING = "starting"
    LIVE = "live"
    RETIRED = "retired"
    FAILED = "failed"


MOVES: Mapping[ReleaseState, frozenset[ReleaseState]] = {
    ReleaseState.STARTING: frozenset({ReleaseState.LIVE, ReleaseState.FAILED}),
    ReleaseState.LIVE: frozenset({ReleaseState.RETIRED}),
    ReleaseState.FAILED: frozenset(),
    ReleaseState.RETIRED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Release:
    """One numbered state of an Environment. `config` are its ConfigVars as they were; `reason` what made it.

    `repeats`, of a Rollback, is the number of the Release whose Image and config it has.
    """

    id: int
    environment_id: int
    number: int
    state: ReleaseState
    image: Image
    config: Mapping[str, str]
    commit: str
    reason: str
    author: str
    created_at: datetime
    failure: str = ""
    repeats: int | None = None
    pinned: bool = False

    @property
    def name(self) -> str:
        """`v12`."""
        return f"v{self.number}"

    @property
    def origin(self) -> int:
        """The number of the first Release with its Image and config: its own, unless it repeats one."""
        return self.repeats or self.number

    def move(self, to: ReleaseState, failure: str = "") -> "Release":
        """The Release in its next state. Raises Conflict for a move that MOVES does not have."""
        if to not in MOVES[self.state]:
            raise Conflict(f"{self.name} is {self.state} and cannot become {to}")
        return replace(self, state=to, failure=failure)
