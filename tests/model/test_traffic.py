"""Counting requests."""

import pytest

from hostd.model.log import RequestRecord
from hostd.model.traffic import KEPT, Meter

NOW = 1_800_000_000.0
LABEL = "shop-production"


def record(
    ended: float = NOW - 1,
    seconds: float = 0.01,
    status: int = 200,
    release: str = "v1",
    environment: str = LABEL,
) -> RequestRecord:
    """A request that ended then, and took so long."""
    return RequestRecord(
        at=ended - seconds,
        host="shop.localhost",
        app="shop",
        environment=environment,
        release=release,
        method="GET",
        path="/",
        status=status,
        sent=10,
        seconds=seconds,
        endpoint="10.0.0.1:80",
        code="",
        request_id="ab12",
    )


def metered(*records: RequestRecord) -> Meter:
    meter = Meter()
    for each in records:
        meter.note(each)
    return meter


def test_requests_are_counted_by_the_first_digit_of_their_status() -> None:
    meter = metered(*(record(status=status) for status in (200, 204, 302, 404, 500, 503)))
    traffic = meter.of(LABEL, NOW, 60)
    assert (traffic.requests, traffic.errors, dict(traffic.statuses)) == (6, 2, {2: 2, 3: 1, 4: 1, 5: 2})
    assert traffic.per_second == 0.1


def test_each_release_is_counted_apart_and_each_environment() -> None:
    meter = metered(record(release="v9"), record(release="v10"), record(environment="topic--shop"))
    assert meter.releases(LABEL, NOW, 60) == ["v9", "v10"]
    assert meter.of(LABEL, NOW, 60, "v10").requests == 1
    assert meter.of(LABEL, NOW, 60).requests == 2
    assert meter.of("nobody", NOW, 60).requests == 0


def test_percentiles_are_at_most_a_twentieth_off() -> None:
    traffic = metered(*(record(seconds=number / 100) for number in range(1, 101))).of(LABEL, NOW, 60)
    for percent in (50, 95, 99):
        assert traffic.percentile(percent) == pytest.approx(percent / 100, rel=0.05)


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, 0.001), (0.0004, 0.001), (3600.0, 3600.0)])
def test_the_shortest_and_the_longest_have_a_place(seconds: float, shown: float) -> None:
    traffic = metered(record(seconds=seconds)).of(LABEL, NOW, 60)
    assert traffic.percentile(95) == pytest.approx(shown, rel=0.05)


def test_without_requests_there_is_no_percentile() -> None:
    assert Meter().of(LABEL, NOW, 60).percentile(95) is None


def test_a_request_counts_in_the_second_in_which_it_ended() -> None:
    meter = metered(record(ended=NOW - 2, seconds=30))
    counts = [meter.of(LABEL, NOW - ago, 1).requests for ago in range(4)]
    assert counts == [0, 1, 0, 0]


def test_a_window_ends_where_the_running_second_begins() -> None:
    meter = metered(record(ended=NOW), record(ended=NOW - 60), record(ended=NOW - 60.1))
    assert meter.of(LABEL, NOW + 0.9, 60).requests == 1


def test_what_is_old_is_forgotten_also_of_environments_that_nobody_asks_for() -> None:
    meter = metered(record(environment="gone"), record(ended=NOW - KEPT), record())
    assert meter.of(LABEL, NOW, KEPT).requests == 2
    meter.note(record(ended=NOW + 2 * KEPT))
    assert meter.of("gone", NOW, KEPT).requests == meter.of(LABEL, NOW, KEPT).requests == 0
    assert meter.of(LABEL, NOW + 2 * KEPT + 1, KEPT).requests == 1
