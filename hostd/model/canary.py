"""Canary: a new Release gets a part of the requests for a while, watched beside the one that serves the rest.

It breaks if it does worse than allowed, and not by chance: what is compared is the least share of bad answers that its
requests so far make likely (the lower end of Wilson's 95 % interval), so a few requests have to be very bad to count.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from hostd.errors import Invalid
from hostd.model.names import shown
from hostd.model.traffic import Traffic

LONGEST = 1800  # seconds
SAMPLE = 20  # requests of the new Release without which nothing is said about its errors
SLOW_SAMPLE = 100  # the same for its latencies: the first answers of any Release are slow
SLOWER, SLOWER_MS = (
    2.0,
    100.0,
)  # unless `max_p95_ms` says otherwise: times the old p95, and at least so much more
_LABELS = "hostd.canary."
_Z = 1.96


@dataclass(frozen=True, slots=True)
class CanaryRule:
    """`weight` percent of the requests for `seconds`. The share of 5xx may be `max_5xx_percent` higher than that of
    the Release before, the p95 at most `max_p95_ms` (None: not much above that of the Release before)."""

    weight: int = 10
    seconds: int = 300
    max_5xx_percent: float = 1.0
    max_p95_ms: int | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """The rule as labels of an Image; `rule_of` reads them."""
        return {
            _LABELS + name: str(getattr(self, name)) for name in _FIELDS if getattr(self, name) is not None
        }


_FIELDS = {"weight": int, "seconds": int, "max_5xx_percent": float, "max_p95_ms": int}


def rule_of(labels: Mapping[str, str]) -> CanaryRule | None:
    """The rule that an Image brings in its labels, if it does."""
    values = {
        name: make(labels[_LABELS + name]) for name, make in _FIELDS.items() if _LABELS + name in labels
    }
    return CanaryRule(**values) if values else None


def asked(rule: CanaryRule | None, options: Mapping[str, str]) -> CanaryRule | None:
    """The rule for one push: `-o canary=20` sets the weight, `-o canary` alone needs no rule, `-o canary=0` is none.

    Raises Invalid for a weight that is none.
    """
    if "canary" not in options:
        return rule
    text, base = options["canary"], rule or CanaryRule()
    if text and not re.fullmatch(r"[0-9]{1,2}", text):
        raise Invalid(f"canary={shown(text)} is no percentage", hint="from 0 (none) to 99, as: -o canary=10")
    weight = int(text) if text else base.weight
    return replace(base, weight=weight) if weight else None


def judge(rule: CanaryRule, new: Traffic, old: Traffic) -> str:
    """Why the new Release is not good enough, as the pusher reads it; "" if it is, or if it is too early to say."""
    return _errors(rule, new, old) or _latency(rule, new, old)


def _errors(rule: CanaryRule, new: Traffic, old: Traffic) -> str:
    before = _percent(old.errors, old.requests)
    allowed = before + rule.max_5xx_percent
    if new.requests < SAMPLE or 100 * _at_least(new.errors, new.requests) <= allowed:
        return ""
    share = _percent(new.errors, new.requests)
    return f"{share:.3g} % of {new.requests} requests got 5xx, at most {allowed:.3g} % allowed (old: {before:.3g} %)"


def _latency(rule: CanaryRule, new: Traffic, old: Traffic) -> str:
    before, now = old.percentile(95), new.percentile(95)
    limit = rule.max_p95_ms or _limit_beside(old)
    if limit is None or now is None or new.requests < SLOW_SAMPLE:
        return ""
    if _at_least(new.slower_than(limit / 1000), new.requests) <= 0.05:
        return ""
    beside = "" if before is None else f" (old: {before * 1000:.0f} ms)"
    return (
        f"the p95 of {new.requests} requests was {now * 1000:.0f} ms, at most {limit:.0f} ms allowed{beside}"
    )


def _limit_beside(old: Traffic) -> float | None:
    before = old.percentile(95)
    if before is None or old.requests < SLOW_SAMPLE:
        return None
    return max(SLOWER * before * 1000, before * 1000 + SLOWER_MS)


def _at_least(bad: int, of: int) -> float:
    """The lower end of Wilson's interval for a share of `bad` among `of` (E. B. Wilson, JASA 22, 1927)."""
    if not bad:
        return 0.0
    share, spread = bad / of, _Z * _Z / of
    middle = share + spread / 2
    return (middle - _Z * math.sqrt(share * (1 - share) / of + spread / of / 4)) / (1 + spread)


def _percent(part: int, of: int) -> float:
    return 100 * part / of if of else 0.0
