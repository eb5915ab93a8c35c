import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.errors import Invalid
from hostd.model.dotenv import SIZE_LIMIT, parse, write

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).map(lambda name: f"X{name}")
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.dictionaries(NAMES, VALUES))
def test_what_was_written_is_read_back_byte_for_byte(values: dict[str, str]) -> None:
    assert parse(write(values).encode()) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("A=1", {"A": "1"}),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("# a comment\n\n  # another\nA=1\n", {"A": "1"}),
        ("export A=1\n  export  B = 2\n", {"A": "1", "B": "2"}),
        ("A=\nB=''\nC=\"\"", {"A": "", "B": "", "C": ""}),
        ("A=one two # three\nB=a#b", {"A": "one two", "B": "a#b"}),
        ("A='$HOME \\n # \"x\"' # why\n", {"A": '$HOME \\n # "x"'}),
        ('A="one\\ntwo\\t\\"three\\" \\$4 \\\\"', {"A": 'one\ntwo\t"three" $4 \\'}),
        ("KEY=\"-----BEGIN\nabc\n-----END\"\nB='x\ny'", {"KEY": "-----BEGIN\nabc\n-----END", "B": "x\ny"}),
        ("A=b'c\"d", {"A": "b'c\"d"}),
        ("A=https://u:p@h/?x=1&y=2", {"A": "https://u:p@h/?x=1&y=2"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=ünïcode \N{SNOWMAN}", {"A": "ünïcode \N{SNOWMAN}"}),
    ],
)
def test_files_as_people_write_them_are_read(text: str, values: dict[str, str]) -> None:
    assert parse(text.encode()) == values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A=1\n\nnonsense\n", "line 3: 'nonsense' has no ="),
        ("A='1\n2'\nB-C=s3cret", "line 3: 'B-C' is not a name"),
        ("=s3cret", "line 1: '' is not a name"),
        ("A=1\nPORT=80", "line 2: PORT is reserved"),
        ("A=1\nB='s3cret\nC=2", "line 2: the quote of B is not closed"),
        ('A="s3cret" more', "line 1: there is more behind the quoted value of A"),
        ("A=s3cret\0", "line 1: the value of A holds a NUL byte"),
        ("A=1\nB=" + "x" * 65537, "line 2: the value of B is too long"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_never_a_value(text: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text.encode())
    assert words in caught.value.message
    assert "s3cret" not in caught.value.message + caught.value.hint


def test_what_is_not_utf_8_or_endless_is_refused() -> None:
    with pytest.raises(Invalid, match="line 2: it is not UTF-8"):
        parse(b"A=1\nB=\xff")
    with pytest.raises(Invalid, match="the file is too large"):
        parse(b"#" * (SIZE_LIMIT + 1))
