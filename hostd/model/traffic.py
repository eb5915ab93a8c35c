"""Traffic: what was asked of an Environment in some seconds, and how it answered; by Release.

A Meter keeps the last KEPT seconds, one tally a second. Latencies are counted in steps of 10 %, from 1 ms up: a
percentile is at most 5 % off, and a tally of any number of requests stays small.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hostd.model.log import RequestRecord

KEPT = 300  # seconds
_STEP = math.log(1.1)


@dataclass(slots=True)
class Tally:
    """Requests that ended within one second. `statuses` by their first digit, `steps` of latency as in `_step`."""

    statuses: Counter[int] = field(default_factory=Counter)
    steps: Counter[int] = field(default_factory=Counter)

    def note(self, record: RequestRecord) -> None:
        """One request more."""
        self.statuses[record.status // 100] += 1
        self.steps[_step(record.seconds)] += 1


@dataclass(frozen=True, slots=True)
class Traffic:
    """The requests that ended in `seconds` seconds: how many by the first digit of their status, how long they took."""

    seconds: int
    statuses: Mapping[int, int]
    steps: Mapping[int, int]

    @property
    def requests(self) -> int:
        """How many."""
        return sum(self.statuses.values())

    @property
    def per_second(self) -> float:
        """Requests in a second, on average."""
        return self.requests / self.seconds

    @property
    def errors(self) -> int:
        """How many were answered 5xx."""
        return self.statuses.get(5, 0)

    def percentile(self, percent: float) -> float | None:
        """Seconds within which so many percent of the requests were answered; None without any."""
        wanted, seen = max(1, math.ceil(self.requests * percent / 100)), 0
        for step in sorted(self.steps):
            seen += self.steps[step]
            if seen >= wanted:
                return _seconds(step)
        return None

    def slower_than(self, seconds: float) -> int:
        """How many took longer than that."""
        return sum(count for step, count in self.steps.items() if _seconds(step) > seconds)


class Meter:
    """The last KEPT seconds of every Environment, by its label and the names of its Releases."""

    def __init__(self) -> None:
        self._tallies: dict[str, dict[int, dict[str, Tally]]] = defaultdict(dict)
        self._swept = 0

    def note(self, record: RequestRecord) -> None:
        """Count a request in the second in which it ended."""
        second = int(record.at + record.seconds)
        if second - self._swept > KEPT:
            self._sweep(second)
        releases = self._tallies[record.environment].setdefault(second, {})
        releases.setdefault(record.release, Tally()).note(record)

    def of(self, label: str, now: float, seconds: int, release: str | None = None) -> Traffic:
        """What ended in the `seconds` (1 to KEPT) whole seconds before `now`, of one Release or of all."""
        return _sum(
            seconds, (tally for _, name, tally in self._last(label, now, seconds) if release in (None, name))
        )

    def releases(self, label: str, now: float, seconds: int) -> Sequence[str]:
        """The Releases that answered then, `v9` before `v10`."""
        found = {name for _, name, _ in self._last(label, now, seconds)}
        return sorted(found, key=lambda name: (len(name), name))

    def _last(self, label: str, now: float, seconds: int) -> Iterable[tuple[int, str, Tally]]:
        tallies = self._tallies.get(label, {})
        for second in range(int(now) - seconds, int(now)):
            for name, tally in tallies.get(second, {}).items():
                yield second, name, tally

    def _sweep(self, now: int) -> None:
        """Forget what is too old, also of Environments that are gone."""
        self._swept = now
        for label, tallies in list(self._tallies.items()):
            for second in [second for second in tallies if second < now - KEPT]:
                del tallies[second]
            if not tallies:
                del self._tallies[label]


def _sum(seconds: int, tallies: Iterable[Tally]) -> Traffic:
    statuses, steps = Counter[int](), Counter[int]()
    for tally in tallies:
        statuses.update(tally.statuses)
        steps.update(tally.steps)
    return Traffic(seconds, statuses, steps)


def _seconds(step: int) -> float:
    return math.exp(step * _STEP) / 1000


def _step(seconds: float) -> int:
    return round(math.log(max(1.0, seconds * 1000)) / _STEP)
