"""Procfile: what is accepted, and that every refusal names the line and the rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.errors import BuildFailed
from hostd.model import procfile
from hostd.model.image import ProcessType


def test_each_line_is_a_process_type_in_the_order_of_the_file() -> None:
    assert procfile.parse(b"web: gunicorn app:app --bind 0.0.0.0:$PORT\nworker: python work.py\n") == (
        ProcessType("web", ("bash", "-c", "gunicorn app:app --bind 0.0.0.0:$PORT")),
        ProcessType("worker", ("bash", "-c", "python work.py")),
    )


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfweb: run",
        b"web: run\r\n",
        b"# a comment\n\n  web :   run  \n\n",
        b"web:run",
        b"web:\trun\n#worker: run",
    ],
)
def test_byte_order_marks_crlf_comments_and_spaces_are_accepted(content: bytes) -> None:
    assert procfile.parse(content) == (ProcessType("web", ("bash", "-c", "run")),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Procfile:1: no process type in it"),
        (b"# nothing\n\n", "Procfile:1: no process type in it"),
        (b"web: a\nworker: b\nweb: c\n", "Procfile:3: web is there twice"),
        (b"web: a\nworker:   \n", "Procfile:2: worker has no command"),
        (b"web: a\n\nnonsense\n", "Procfile:3: 'nonsense' is not `name: command`"),
        (
            b"We b: run\n",
            "Procfile:1: 'We b' is not a process type: letters, digits, - and _, at most 63",
        ),
        (
            b"../web: run\n",
            "Procfile:1: '../web' is not a process type: letters, digits, - and _, at most 63",
        ),
        ("web: run\n".encode("utf-16"), "Procfile:1: UTF-16; save it as UTF-8"),
        (b"web: a\nworker: \xff\xfe\n", "Procfile:2: not UTF-8"),
        (b"web: a\nworker: a\0b\n", "Procfile:2: a NUL character"),
        (b"web: " + b"x" * 1_000_000, "Procfile:1: longer than 32768 characters"),
        (b"".join(b"t%d: run\n" % n for n in range(65)), "Procfile:65: more than 64 process types"),
    ],
)
def test_a_procfile_that_breaks_a_rule_is_refused_with_the_line(content: bytes, message: str) -> None:
    with pytest.raises(BuildFailed) as refusal:
        procfile.parse(content)
    assert refusal.value.message == message
    assert refusal.value.hint


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(content: bytes) -> None:
    try:
        assert procfile.parse(content)
    except BuildFailed as refusal:
        assert refusal.message.startswith("Procfile:")
