"""Terms: what an app asks for Instances of a ProcessType, within the operator's limits. Kept as labels of the Image."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

PREFIX = "hostd.limits."
GRACE = 30.0  # seconds between SIGTERM and SIGKILL


@dataclass(frozen=True, slots=True)
class Terms:
    """0 and "" ask for nothing. `cpus` are CPUs' worth of time, `grace_seconds` lie between SIGTERM and SIGKILL.

    `overlap` "no": the Instances of the Release before are stopped before these start.
    """

    memory_mb: int = 0
    cpus: float = 0.0
    grace_seconds: float = 0.0
    overlap: str = ""

    @property
    def grace(self) -> float:
        """Seconds between SIGTERM and SIGKILL."""
        return self.grace_seconds or GRACE

    def labels(self, process: str = "") -> dict[str, str]:
        """As `terms_of` reads them, for one process type, or for all."""
        return {_label(name, process): str(value) for name, value in asdict(self).items() if value}


def terms_of(labels: Mapping[str, str], process: str) -> Terms:
    """What an Image's labels ask for `process`: what is said for it alone wins over what is said for all."""
    default = asdict(Terms())
    told = {name: labels.get(_label(name, process)) or labels.get(_label(name, "")) for name in default}
    return Terms(**{name: type(default[name])(text) for name, text in told.items() if text})


def _label(name: str, process: str) -> str:
    return PREFIX + (f"{process}." if process else "") + name.replace("_", "-")
