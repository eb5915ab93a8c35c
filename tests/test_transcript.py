"""What a pusher's terminal is given to read."""

import pytest

from hostd.transcript import Transcript


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        ("a\x1b[2Kb", "ab"),
        ("a\x1b[21tb", "ab"),
        ("a\x1b[cb", "ab"),
        ("a\x1b[6nb", "ab"),
        ("a\x1b[>4;2mb", "ab"),
        ("a\x1b[3\x001mb", "a1mb"),
        ("a\x1b\x1b[6nb", "ab"),
        ("a\x1b]0;title\x07b", "a0;titleb"),
        ("a\x9b6nb", "a6nb"),
        ("a\x1b", "a"),
        ("a\x1b[", "a"),
    ],
)
def test_of_what_steers_a_terminal_only_colours_are_kept(line: str, shown: str) -> None:
    transcript = Transcript()
    transcript.say(line)
    assert transcript.lines == [shown]
