"""Build: one attempt to turn a Source into an Image, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class BuildState(StrEnum):
    """running -> one of the others; `interrupted` means that hostd ended before the Build did."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Build:
    """One attempt. `reason` says why it did not succeed; `release_number` is the Release it led to.

    Its Transcript is kept beside it, not in it: it can be megabytes.
    """

    id: int
    environment_id: int
    commit: str
    author: str
    state: BuildState
    started_at: datetime
    finished_at: datetime | None = None
    reason: str = ""
    release_number: int | None = None
