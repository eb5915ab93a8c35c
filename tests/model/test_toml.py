"""TOML: hostile input is refused in words, and what is written is read back the same."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.errors import BuildFailed
from hostd.model import toml


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = 1\na = 2\n", "f.toml: Cannot overwrite a value (at line 2, column 6)"),
        (b"[a]\n[a]", "f.toml: Cannot declare ('a',) twice (at line 2, column 3)"),
        (b"a = " + b"[" * 100_000, "f.toml: nested deeper than 32"),
        (b"a = " + b"[" * 40 + b"]" * 40, "f.toml: nested deeper than 32"),
        (b"a." * 40 + b"a = 1", "f.toml: nested deeper than 32"),
        (b"\xff", "f.toml: not UTF-8"),
    ],
)
def test_what_is_not_toml_is_refused_with_its_place(content: bytes, message: str) -> None:
    with pytest.raises(BuildFailed) as refusal:
        toml.parse(content, "f.toml")
    assert refusal.value.message == message


def test_a_number_with_too_many_digits_is_refused() -> None:
    with pytest.raises(BuildFailed):
        toml.parse(b"a = " + b"9" * 5000, "f.toml")


def test_keys_are_written_one_to_a_line_and_tables_with_headers() -> None:
    content = {"metadata": {"key": 'a "b"', "list": [1, True, {"x": "y"}], "inner": {"n": 1.5}}}
    assert toml.write(content) == (
        '[metadata]\nkey = "a \\"b\\""\nlist = [1, true, {x = "y"}]\n[metadata.inner]\nn = 1.5\n'
    )


values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_what_is_written_is_read_back_the_same(content: dict[str, Any]) -> None:
    assert toml.parse(toml.write(content).encode(), "f.toml") == content


def test_infinity_survives() -> None:
    assert toml.parse(toml.write({"a": math.inf}).encode(), "f.toml") == {"a": math.inf}
