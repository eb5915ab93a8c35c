"""Branch names of any kind as parts of host names."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.errors import Invalid
from hostd.model.app import PRODUCTION
from hostd.model.preview import PreviewSettings, check_days, expired, locked, name_of

NOW = datetime(2026, 11, 25, tzinfo=UTC)
LONGEST_APP = "a" * 30
branches = st.one_of(
    st.text(min_size=1, max_size=250),
    st.from_regex(r"[a-zA-Z0-9/_.-]{1,40}", fullmatch=True),
    st.from_regex(r"[a-z0-9-]{1,34}", fullmatch=True),
)


@given(branches)
def test_every_branch_has_a_name_that_is_a_part_of_a_valid_host_label(branch: str) -> None:
    name = name_of(branch)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    label = f"{name}--{LONGEST_APP}"
    assert len(label) <= 63
    assert label[2:4] != "--"
    assert name != PRODUCTION
    assert not re.fullmatch(r"v[0-9]+", name)


@given(branches)
def test_a_name_is_stable(branch: str) -> None:
    assert name_of(branch) == name_of(branch)


@given(branches, branches)
def test_two_branches_never_have_one_name(one: str, other: str) -> None:
    assert (name_of(one) == name_of(other)) == (one == other)


@given(branches)
def test_a_branch_called_as_the_preview_of_another_has_a_name_of_its_own(branch: str) -> None:
    name = name_of(branch)
    assert name == branch or name_of(name) != name


@pytest.mark.parametrize("branch", ["topic", "fix-12", "2fa", "a-b-c", "x" * 31, "beef-dead"])
def test_a_plain_name_stays_as_it_is(branch: str) -> None:
    assert name_of(branch) == branch


@pytest.mark.parametrize(
    ("branch", "readable"),
    [
        ("feature/login", "feature-login-"),
        ("Feature", "feature-"),
        ("a--b", "a-b-"),
        ("xn", "xn-"),
        ("v12", "v12-"),
        ("production", "production-"),
        ("h\u00f6he", "hohe-"),
        ("\u65e5\u672c\u8a9e", ""),
        ("fix-deadbeef", "fix-deadbeef-"),
        ("deadbeef", "deadbeef-"),
        ("x" * 250, "x" * 22 + "-"),
        ("---", ""),
        ("-rf", "rf-"),
    ],
)
def test_what_will_not_do_is_made_readable_and_told_apart_by_a_hash(branch: str, readable: str) -> None:
    assert re.fullmatch(readable + "[0-9a-f]{8}", name_of(branch))


def test_a_preview_expires_so_many_days_after_its_last_push() -> None:
    week = PreviewSettings(days=7)
    assert not expired(NOW - timedelta(days=7), week, NOW)
    assert expired(NOW - timedelta(days=7, seconds=1), week, NOW)


@pytest.mark.parametrize("days", [-1, 0, 366, 10**9])
def test_days_have_a_range(days: int) -> None:
    with pytest.raises(Invalid, match="1 to 365"):
        check_days(days)


@pytest.mark.parametrize("password", ["", "short", "x" * 129, "tab\tinside", "\u00e4" * 9, "line\nline"])
def test_a_password_that_breaks_its_rule_is_refused_and_not_repeated(password: str) -> None:
    with pytest.raises(Invalid, match="8 to 128 printable") as caught:
        locked(password, "salt")
    assert not password or password not in caught.value.message


def test_a_password_is_kept_as_a_salted_hash() -> None:
    kept = locked("open sesame", "ab12")
    assert kept.startswith("ab12:")
    assert "sesame" not in kept
    assert kept != locked("open sesame", "cd34")
