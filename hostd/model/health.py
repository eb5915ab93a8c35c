"""HealthCheck: when a web Instance counts as ready, and as alive. Kept as labels of the Image."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

PREFIX = "hostd.health."


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Ready: a GET of `path` is answered below 500 within `timeout_seconds` of the start, and `expect` is in it.

    Alive: `liveness` (a path; "": not asked) is answered so every `interval_seconds`; `failures` in a row are too
    many. Each single answer may take `answer_seconds`.
    """

    path: str = "/"
    expect: str = ""
    timeout_seconds: float = 60.0
    answer_seconds: float = 3.0
    liveness: str = ""
    interval_seconds: float = 10.0
    failures: int = 3

    @property
    def labels(self) -> dict[str, str]:
        """What is not the default, as `of` reads it."""
        default = asdict(HealthCheck())
        return {_label(name): str(value) for name, value in asdict(self).items() if value != default[name]}

    @staticmethod
    def of(labels: Mapping[str, str]) -> "HealthCheck":
        """The check that `labels` of an Image tell of."""
        default = asdict(HealthCheck())
        told = {name: labels[_label(name)] for name in default if _label(name) in labels}
        return HealthCheck(**{name: type(default[name])(text) for name, text in told.items()})


def _label(name: str) -> str:
    return PREFIX + name.replace("_", "-")
