"""What hostd.toml says of health and limits, as it is read back from an Image's labels."""

import pytest

from hostd.model.health import HealthCheck
from hostd.model.terms import GRACE, Terms, terms_of


@pytest.mark.parametrize(
    "check",
    [HealthCheck(), HealthCheck("/up", "all's = well", 5, 1, "/alive", 2, 1), HealthCheck(liveness="/")],
)
def test_a_health_check_is_read_back_from_its_labels(check: HealthCheck) -> None:
    assert HealthCheck.of({"other": "x", **check.labels}) == check


def test_what_is_the_default_needs_no_label() -> None:
    assert HealthCheck().labels == {}
    assert Terms().labels() == {}


def test_what_is_said_for_one_process_type_wins_over_what_is_said_for_all() -> None:
    labels = Terms(512, 1.5, 20).labels() | Terms(memory_mb=64, overlap="no").labels("worker")
    assert terms_of(labels, "worker") == Terms(64, 1.5, 20, "no")
    assert terms_of(labels, "web") == Terms(512, 1.5, 20)
    assert terms_of({}, "web") == Terms()


def test_there_is_a_usual_grace() -> None:
    assert (Terms().grace, Terms(grace_seconds=2).grace) == (GRACE, 2)
