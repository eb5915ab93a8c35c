"""Instance: one running copy of a ProcessType, and the words an engine is told to start it with."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from hostd.model.image import Image


class InstanceState(StrEnum):
    """starting -> running -> frozen -> reclaimed -> stopped; `crashed` waits for its next start (back-off).

    An `unhealthy` one runs, but fails its liveness check; another one is about to be started in its place.
    A reclaimed one is frozen and its memory is in swap.
    """

    STARTING = "starting"
    RUNNING = "running"
    UNHEALTHY = "unhealthy"
    FROZEN = "frozen"
    RECLAIMED = "reclaimed"
    CRASHED = "crashed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sandbox may use. `disk_mb` bounds what it writes to its own file system; `seconds` 0 is no limit."""

    memory_mb: int = 512
    processes: int = 256
    cpus: float = 0.0  # 0: no quota
    open_files: int = 4096
    disk_mb: int = 512
    seconds: float = 0.0
    output_mb: int = 0  # 0: no limit


BUILD_LIMITS = Limits(
    memory_mb=2048, processes=512, open_files=16384, disk_mb=4096, seconds=900.0, output_mb=20
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an Instance listens: an IPv4 address and a TCP port the router can dial."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """Everything an engine needs to start an Instance, and to know it again after a restart of hostd.

    `id` is unique for ever (a name, then a nonce per start). `tenant` is the App's id: what is of one tenant may
    share a uid, nothing else may. `env` is the whole environment but for PORT, which the engine sets.
    """

    id: str
    tenant: int
    environment: str
    release: int
    process: str
    image: Image
    command: tuple[str, ...]
    directory: str
    env: Mapping[str, str] = field(compare=False, repr=False)  # holds secrets; not known of what was adopted
    limits: Limits = field(default_factory=Limits)
    one_off: bool = False  # runs to its end, and belongs to no Formation


@dataclass(frozen=True, slots=True)
class Instance:
    """An Instance that was started. `started_at` is in seconds since the epoch."""

    spec: InstanceSpec
    endpoint: Endpoint
    started_at: float

    @property
    def id(self) -> str:
        """The id from its spec."""
        return self.spec.id


@dataclass(frozen=True, slots=True)
class Exit:
    """How an Instance or a task ended. `status` as a shell gives it: 128 + n for signal n.

    `limit` names the limit of Limits that ended it ("memory", "seconds", "output", "disk"), if one did.
    """

    status: int
    limit: str = ""

    def __str__(self) -> str:
        """What became of it, behind its name: `exited with status 3`."""
        if self.limit == "memory":
            return "was killed: out of memory (R15)"
        if self.limit:
            return f"exited with status {self.status}: it hit its limit of {self.limit}"
        return f"exited with status {self.status}{_signal_name(self.status)}"


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One Instance as `hostd ps` shows it. `release` is a name as `v12`.

    `instance_id` and `endpoint` are "" before it has one.
    """

    process: str
    instance_id: str
    state: InstanceState
    since: datetime
    release: str
    command: str
    restarts: int
    endpoint: str


def _signal_name(status: int) -> str:
    try:
        return f" ({signal.Signals(status - 128).name})"
    except ValueError:
        return ""
