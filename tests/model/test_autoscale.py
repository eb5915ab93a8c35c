"""How many web Instances there should be."""

from collections import deque
from collections.abc import Callable
from itertools import pairwise

import pytest

from hostd.errors import Invalid
from hostd.model.autoscale import CALM, SLOW, SOON, AutoscaleRule, Look, Wish, desired

RULE = AutoscaleRule(1, 5, concurrency=20)
QUICK = AutoscaleRule(1, 5, concurrency=20, p95_ms=500)


def looks(under_way: int, count: int = CALM, p95: float | None = None) -> list[Look]:
    return [Look(under_way, p95)] * count


@pytest.mark.parametrize(
    ("least", "most", "concurrency", "p95_ms"),
    [(0, 5, 20, None), (3, 2, 20, None), (1, 101, 20, None), (1, 10**9, 20, None), (-1, -1, 20, None)]
    + [(1, 2, 0, None), (1, 2, 10_001, None), (1, 2, 20, 0), (1, 2, 20, 60_001)],
)
def test_a_rule_has_limits(least: int, most: int, concurrency: int, p95_ms: int | None) -> None:
    with pytest.raises(Invalid, match=r"cannot be had|is out of range"):
        AutoscaleRule(least, most, concurrency, p95_ms)


def test_more_at_once_than_wanted_makes_as_many_as_it_takes_and_says_why() -> None:
    assert desired(1, looks(58, SOON), RULE) == Wish(3, "58 requests at once, 20 wanted per instance")
    assert desired(3, looks(58), RULE) is None


def test_two_looks_are_too_few_and_one_peak_is_no_load() -> None:
    assert desired(1, looks(58, SOON - 1), RULE) is None
    assert desired(1, [Look(50), Look(5), Look(5)], RULE) is None


def test_there_are_never_more_than_the_most_or_fewer_than_the_least() -> None:
    assert desired(1, looks(10_000), RULE) == Wish(5, "10000 requests at once, 20 wanted per instance")
    assert desired(5, looks(10_000), RULE) is None
    assert desired(1, looks(0), RULE) is None


@pytest.mark.parametrize(("count", "wanted"), [(1, 2), (9, 4)])
def test_a_new_rule_brings_the_count_between_its_bounds_at_once(count: int, wanted: int) -> None:
    assert desired(count, looks(0, SOON), AutoscaleRule(2, 4)) == Wish(wanted, "2 to 4 wanted")


def test_slow_answers_make_more_but_not_twice_as_many_at_once() -> None:
    slow = desired(2, looks(1, SLOW, 0.6), QUICK)
    assert slow == Wish(3, "95 % answered within 600 ms, 500 ms wanted")
    assert desired(2, looks(1, SLOW, 9.0), QUICK) == Wish(4, "95 % answered within 9000 ms, 500 ms wanted")
    assert desired(2, looks(1, SLOW - 1, 0.6), QUICK) is None
    assert desired(2, looks(1, SLOW, 0.6), RULE) is None


def test_one_less_takes_a_whole_minute_in_which_it_would_have_done() -> None:
    assert desired(3, looks(32), RULE) == Wish(2, "at most 32 requests at once for 60 s")
    assert desired(3, looks(32, CALM - 1), RULE) is None
    assert desired(3, [*looks(32, CALM - 1), Look(33)], RULE) is None
    assert desired(1, looks(0), RULE) is None


def test_answers_have_to_be_much_faster_than_wanted_for_one_less() -> None:
    assert desired(2, looks(1, p95=0.25), QUICK) == Wish(1, "at most 1 requests at once for 60 s")
    assert desired(2, [*looks(1, CALM - 1), Look(1, 0.26)], QUICK) is None
    assert desired(2, looks(0), QUICK) is not None


def simulated(load: Callable[[int], int], seconds: int, rule: AutoscaleRule = RULE) -> list[int]:
    """The count second by second, under a load that does not mind how many there are."""
    count, counts, seen = rule.least, list[int](), deque[Look](maxlen=CALM)
    for second in range(seconds):
        seen.append(Look(load(second)))
        wish = desired(count, list(seen), rule)
        if wish:
            count = wish.count
            seen.clear()
        counts.append(count)
    return counts


def changes(counts: list[int]) -> int:
    return sum(1 for before, after in pairwise(counts) if before != after)


@pytest.mark.parametrize("level", range(0, 120, 7))
def test_a_steady_load_that_trembles_is_settled_after_its_first_changes(level: int) -> None:
    counts = simulated(lambda second: level + second * 7919 % 5, 1200)
    assert changes(counts[30:]) == 0


def test_a_wave_is_followed_up_within_seconds_and_down_one_by_one() -> None:
    counts = simulated(lambda second: 95 if 100 <= second < 200 else 5, 600)
    assert counts[99] == 1 and counts[105] == 5
    assert [counts[second] for second in (258, 265, 325, 385, 445)] == [5, 4, 3, 2, 1]


def test_peaks_that_come_back_every_half_minute_are_held_for() -> None:
    counts = simulated(lambda second: 95 if second % 30 < 5 else 5, 1200)
    assert changes(counts[10:]) == 0
