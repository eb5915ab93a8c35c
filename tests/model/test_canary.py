"""When a canary is good enough, and what a push may ask for."""

from collections.abc import Mapping

import pytest

from hostd.errors import Invalid
from hostd.model.canary import SAMPLE, SLOW_SAMPLE, CanaryRule, asked, judge, rule_of
from hostd.model.traffic import Traffic
from tests.model.test_traffic import LABEL, NOW, metered, record

RULE = CanaryRule()
NONE = Traffic(1, {}, {})


def traffic(good: int, bad: int = 0, seconds: float = 0.01, slow: int = 0) -> Traffic:
    """So many answered 200, so many 503, and so many more after 5 s."""
    records = [record(seconds=seconds)] * good + [record(status=503)] * bad + [record(seconds=5)] * slow
    return metered(*records).of(LABEL, NOW, 60)


def test_a_release_that_fails_more_than_allowed_is_told_with_figures() -> None:
    assert judge(RULE, traffic(202, 28), traffic(1000)) == (
        "12.2 % of 230 requests got 5xx, at most 1 % allowed (old: 0 %)"
    )


@pytest.mark.parametrize(
    ("good", "bad", "breaks"),
    [(0, SAMPLE - 1, False), (0, SAMPLE, True), (19, 1, False), (18, 2, True), (492, 8, False)]
    + [(485, 15, True), (10_000, 0, False), (99, 1, False)],
)
def test_it_takes_more_than_chance_to_break(good: int, bad: int, breaks: bool) -> None:
    assert bool(judge(RULE, traffic(good, bad), traffic(1000))) is breaks


def test_what_failed_before_may_fail_as_often_now() -> None:
    assert judge(RULE, traffic(180, 20), traffic(900, 100)) == ""
    assert "at most 11 % allowed (old: 10 %)" in judge(RULE, traffic(150, 50), traffic(900, 100))


def test_without_requests_nothing_is_said() -> None:
    assert judge(RULE, NONE, NONE) == judge(RULE, NONE, traffic(1000)) == judge(RULE, traffic(30), NONE) == ""


def test_a_release_much_slower_than_the_one_before_breaks() -> None:
    told = judge(RULE, traffic(180, slow=20), traffic(1000))
    assert told == "the p95 of 200 requests was 4830 ms, at most 110 ms allowed (old: 10 ms)"
    assert judge(RULE, traffic(192, slow=8), traffic(1000)) == ""
    assert judge(RULE, traffic(200, seconds=0.09), traffic(1000)) == ""
    assert judge(RULE, traffic(200, seconds=1.2), traffic(1000, seconds=1.0)) == ""
    assert judge(RULE, traffic(SLOW_SAMPLE - 1, seconds=5), traffic(1000)) == ""
    assert judge(RULE, traffic(200, seconds=5), traffic(SLOW_SAMPLE - 1)) == ""


def test_a_limit_of_milliseconds_holds_whatever_was_before() -> None:
    rule = CanaryRule(max_p95_ms=500)
    assert judge(rule, traffic(200, seconds=0.45), traffic(1000)) == ""
    assert judge(rule, traffic(200, seconds=0.6), NONE).endswith("at most 500 ms allowed")


@pytest.mark.parametrize("rule", [RULE, CanaryRule(25, 60, 0.5, 800), CanaryRule(max_5xx_percent=0.0)])
def test_a_rule_comes_back_from_its_labels(rule: CanaryRule) -> None:
    assert rule_of({"hostd.other": "x", **rule.labels}) == rule


def test_without_labels_there_is_no_rule() -> None:
    assert rule_of({"hostd.health.path": "/"}) is None


@pytest.mark.parametrize(
    ("rule", "options", "wanted"),
    [
        (None, {}, None),
        (RULE, {}, RULE),
        (None, {"canary": ""}, RULE),
        (None, {"canary": "25"}, CanaryRule(25)),
        (CanaryRule(5, 60), {"canary": "25"}, CanaryRule(25, 60)),
        (CanaryRule(5, 60), {"canary": ""}, CanaryRule(5, 60)),
        (RULE, {"canary": "0"}, None),
    ],
)
def test_a_push_may_ask_for_another_weight_or_none(
    rule: CanaryRule | None, options: Mapping[str, str], wanted: CanaryRule | None
) -> None:
    assert asked(rule, options) == wanted


@pytest.mark.parametrize("text", ["100", "-1", "1.5", "ten", "1e1", "NaN", " 5", "٣", "9" * 500])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is no percentage"):
        asked(None, {"canary": text})
