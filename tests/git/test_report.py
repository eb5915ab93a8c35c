"""The report of a refused push carries the true reason, in whatever pieces git's output comes."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from hostd.git.report import Report, message, packet

REPORT = packet(b"unpack ok\n") + packet(b"ng refs/heads/main pre-receive hook declined\n") + b"0000"
ANSWER = message("hello") + packet(b"\x01" + REPORT) + b"0000"


def fed(pieces: list[bytes], refused: str) -> bytes:
    report = Report()
    report.refused = refused
    return b"".join(report.feed(piece) for piece in pieces) + report.end()


@given(st.lists(st.integers(1, len(ANSWER) - 1), max_size=6))
def test_the_reason_replaces_gits_own_however_the_bytes_are_cut(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(ANSWER)]
    pieces = [ANSWER[start:end] for start, end in itertools.pairwise(bounds)]
    answer = fed(pieces, "build failed: no")
    assert answer.startswith(message("hello"))
    assert b"ng refs/heads/main build failed: no\n" in answer
    assert answer.endswith(b"0000")


def test_an_accepted_push_passes_unchanged_and_names_its_refs() -> None:
    report = Report()
    answer = packet(b"\x01" + packet(b"unpack ok\n") + packet(b"ok refs/heads/main\n") + b"0000") + b"0000"
    assert report.feed(answer) + report.end() == answer
    assert report.accepted == {"refs/heads/main"}


def test_a_line_of_band_2_is_not_held_back() -> None:
    assert Report().feed(message("live")) == message("live")


def test_a_report_of_a_thousand_refs_fits_into_packets() -> None:
    lines = (b"ng refs/tags/%d pre-receive hook declined\n" % number for number in range(1000))
    refused = b"".join(map(packet, lines)) + b"0000"
    git = packet(b"\x01" + refused[:50_000]) + packet(b"\x01" + refused[50_000:]) + b"0000"
    answer = fed([git], "too many refs in one push (1000, at most 100)")
    report = b""
    while answer != b"0000":
        length = int(answer[:4], 16)
        assert answer[4:5] == b"\x01"
        report, answer = report + answer[5:length], answer[length:]
    assert report.count(b"too many refs") == 1000
    assert report.endswith(b"0000")
