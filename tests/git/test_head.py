"""The head of a push, in pieces of any size."""

import pytest

from hostd.errors import Invalid, LimitExceeded
from hostd.git.head import Head

A, B = "0" * 40, "1" * 40


def line(text: str) -> bytes:
    return f"{len(text) + 4:04x}{text}".encode()


def given(data: bytes, size: int) -> None:
    """Give all of `data` to a Head in pieces of `size`."""
    head = Head()
    for start in range(0, len(data), size):
        head.check(data[start : start + size])
    head.end()


GOOD = {
    "nothing to do": b"0000",
    "a command": line(f"{A} {B} refs/heads/main\0report-status") + b"0000PACKzzzz",
    "two commands": line(f"{A} {B} refs/heads/main\0x") + line(f"{A} {B} refs/heads/b\n") + b"0000",
    "a shallow clone": line(f"shallow {B}") + line(f"{A} {B} refs/heads/main\0x") + b"0000PACK",
    "options": line(f"{A} {B} refs/heads/main\0push-options") + b"0000" + line("a=b") + b"0000PACKzzzz",
    "hex in capitals": b"006E" + line(f"{A} {B} refs/heads/{'m' * 9}\0abc")[4:] + b"0000",
}
BAD = {
    "no length": b"zzzz",
    "a sign": b"-001",
    "a short length": b"0003",
    "an empty line": b"0004",
    "cut off": line(f"{A} {B} refs/heads/main\0x"),
    "no options": line(f"{A} {B} refs/heads/main\0push-options") + b"0000",
    "one id": line(f"{A} refs/heads/main") + b"0000",
    "a space in the ref": line(f"{A} {B} refs/heads/a b") + b"0000",
    "sha256": line(f"{A} {B} refs/heads/main\0object-format=sha256") + b"0000",
}


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_a_head_is_accepted_in_pieces_of_any_size(data: bytes, size: int) -> None:
    given(data, size)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_a_head_that_is_none_is_refused_in_pieces_of_any_size(data: bytes, size: int) -> None:
    with pytest.raises(Invalid):
        given(data, size)


def test_too_many_commands_and_too_long_options_are_refused_while_they_come() -> None:
    first = line(f"{A} {B} refs/heads/main\0push-options")
    with pytest.raises(LimitExceeded, match="more than 10000 refs"):
        given(first * 10_001, 65536)
    with pytest.raises(LimitExceeded, match="longer than 256 KiB"):
        given(first + b"0000" + line("x" * 60_000) * 5, 65536)
