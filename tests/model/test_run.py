"""Commands of Runs, as people write them."""

import pytest

from hostd.errors import Invalid
from hostd.model.image import Image, ProcessType
from hostd.model.run import LINE_LIMIT, OUTPUT_KEPT, kept_output, line_of

IMAGE = Image(
    "sha256:0",
    (),
    {},
    (
        ProcessType("web", ("bash", "-c", "gunicorn app:app")),
        ProcessType("rake", ("bash", "-c", "bundle exec rake")),
        ProcessType("tool", ("/bin/a tool", "--x")),
    ),
)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("ls | wc -l",), "ls | wc -l"),
        (("echo", "$HOME", "a  b"), "echo '$HOME' 'a  b'"),
        (("rake",), "bundle exec rake"),
        (("rake", "db:migrate", "a b"), "bundle exec rake db:migrate 'a b'"),
        (("rake db:migrate && echo done",), "bundle exec rake db:migrate && echo done"),
        (("tool", "y"), "'/bin/a tool' --x y"),
        (("rakes",), "rakes"),
    ],
)
def test_words_become_a_line(words: tuple[str, ...], line: str) -> None:
    assert line_of(words, IMAGE) == line


@pytest.mark.parametrize("words", [(), ("",), ("  ",), ("", "ls"), ("a\0b",), ("x" * (LINE_LIMIT + 1),)])
def test_what_is_no_command_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(Invalid):
        line_of(words, IMAGE)


def test_of_much_output_the_last_whole_lines_are_kept() -> None:
    kept = kept_output([f"line {number}" for number in range(100_000)])
    assert len(kept) <= OUTPUT_KEPT
    assert kept.startswith("line ") and kept.endswith("line 99999\n")
    assert len(kept_output(["x" * 100_000])) == OUTPUT_KEPT
