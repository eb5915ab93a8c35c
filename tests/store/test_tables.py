from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from hostd.store.tables import UtcTime

DIALECT = sqlite.dialect()


@given(st.datetimes(timezones=st.timezones()))
def test_a_time_comes_back_as_the_same_moment_to_the_microsecond(moment: datetime) -> None:
    stored = UtcTime().process_bind_param(moment, DIALECT)
    back = UtcTime().process_result_value(stored, DIALECT)
    assert back == moment.astimezone(UTC)
    assert back.tzinfo is UTC


def test_a_time_is_stored_as_microseconds_since_the_epoch() -> None:
    moment = datetime(1970, 1, 1, 2, 0, 1, tzinfo=timezone(timedelta(hours=2)))
    assert UtcTime().process_bind_param(moment, DIALECT) == 1_000_000


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        UtcTime().process_bind_param(datetime(2026, 1, 1), DIALECT)  # noqa: DTZ001


def test_no_time_stays_no_time() -> None:
    assert UtcTime().process_bind_param(None, DIALECT) is None
    assert UtcTime().process_result_value(None, DIALECT) is None
