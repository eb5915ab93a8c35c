"""Autoscaling: how many web Instances there should be, as a pure function of what was seen since that last changed.

Up within seconds: as soon as more is under way than wanted, or answers take too long. Down one at a time, and only
after a minute in which one Instance fewer would have had room to spare. What lies between the two changes nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hostd.errors import Invalid

MOST = 100
SOON = 3  # looks, a second apart, that are enough to want more
SLOW = 10  # looks until the latencies of before a change are forgotten; also seconds that a p95 is of
CALM = 60  # looks that have to agree before there is one less
SPARE = 0.8  # of its room that may be taken with one less
SAMPLE = 20  # requests without which a p95 says nothing


@dataclass(frozen=True, slots=True)
class AutoscaleRule:
    """From `least` to `most` Instances, so many that each has `concurrency` requests at once, or fewer; and, if
    `p95_ms` is set, that 95 % of the requests are answered within so many milliseconds.

    Raises Invalid for what cannot be kept.
    """

    least: int = 1
    most: int = 1
    concurrency: int = 20
    p95_ms: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most <= MOST:
            raise Invalid(
                f"from {self.least} to {self.most} instances cannot be had: 1 to {MOST}, the fewer first",
                hint="as: hostd ps autoscale web --min 1 --max 5",
            )
        if not 1 <= self.concurrency <= 10_000:
            raise Invalid(f"{self.concurrency} requests at once is out of range: 1 to 10000")
        if self.p95_ms is not None and not 1 <= self.p95_ms <= 60_000:
            raise Invalid(f"a p95 of {self.p95_ms} ms is out of range: 1 to 60000 ms")


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment: requests and WebSockets under way, and the p95 in seconds of the last SLOW seconds,
    None for fewer than SAMPLE requests."""

    under_way: int
    p95: float | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """So many Instances, and why, as people read it in the log."""

    count: int
    why: str


def desired(count: int, looks: Sequence[Look], rule: AutoscaleRule) -> Wish | None:
    """What should become of `count` Instances; None: nothing. `looks` since it last changed, oldest first."""
    if len(looks) < SOON:
        return None
    if not rule.least <= count <= rule.most:
        return Wish(min(max(count, rule.least), rule.most), f"{rule.least} to {rule.most} wanted")
    more = _for_concurrency(looks, rule, count) or _for_latency(looks, rule, count)
    if more and count < rule.most:
        return Wish(min(more.count, rule.most), more.why)
    return None if more else _less(looks, rule, count)


def _for_concurrency(looks: Sequence[Look], rule: AutoscaleRule, count: int) -> Wish | None:
    under_way = sum(look.under_way for look in looks[-SOON:]) / SOON
    needed = math.ceil(under_way / rule.concurrency)
    if needed <= count:
        return None
    return Wish(needed, f"{under_way:.0f} requests at once, {rule.concurrency} wanted per instance")


def _for_latency(looks: Sequence[Look], rule: AutoscaleRule, count: int) -> Wish | None:
    p95 = looks[-1].p95
    if rule.p95_ms is None or p95 is None or len(looks) < SLOW or p95 * 1000 <= rule.p95_ms:
        return None
    needed = math.ceil(count * min(2, p95 * 1000 / rule.p95_ms))
    return Wish(needed, f"95 % answered within {p95 * 1000:.0f} ms, {rule.p95_ms} ms wanted")


def _less(looks: Sequence[Look], rule: AutoscaleRule, count: int) -> Wish | None:
    if count <= rule.least or len(looks) < CALM:
        return None
    calm = looks[-CALM:]
    peak = max(look.under_way for look in calm)
    slowest = max((look.p95 for look in calm if look.p95 is not None), default=0.0)
    if peak > SPARE * rule.concurrency * (count - 1):
        return None
    if rule.p95_ms is not None and slowest * 1000 > rule.p95_ms / 2:
        return None
    return Wish(count - 1, f"at most {peak} requests at once for {CALM} s")
