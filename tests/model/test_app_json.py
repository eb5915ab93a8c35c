import pytest

from hostd.errors import Invalid
from hostd.model.app_json import WantedVar, wanted_vars


def test_every_kind_of_variable_is_read() -> None:
    text = b"""{"name": "shop", "env": {
        "A": "plain",
        "B": {"value": "default", "required": false},
        "C": {"generator": "secret", "description": "signs cookies"},
        "D": {"description": "of the mail service"}
    }}"""
    assert wanted_vars(text) == [
        WantedVar("A", "plain"),
        WantedVar("B", "default", required=False),
        WantedVar("C", generate=True, description="signs cookies"),
        WantedVar("D", description="of the mail service"),
    ]


@pytest.mark.parametrize("text", [b"{}", b'\xef\xbb\xbf{"env": {}}', b'{"scripts": {"postdeploy": "x"}}'])
def test_an_app_json_without_variables_wants_none(text: bytes) -> None:
    assert wanted_vars(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"env": {\n"A": "1",\n}}', "app.json:3: it is not JSON"),
        (b"\xff", "app.json is not JSON in UTF-8"),
        (b"[" * 100_000, "app.json is not JSON"),
        (b"[]", "app.json is not an object"),
        (b'{"env": []}', "env is not an object"),
        (b'{"env": {"A": 1}}', "env 'A': a text, or an object"),
        (b'{"env": {"A": {"value": 1}}}', "env 'A': value is a text"),
        (b'{"env": {"A": {"description": "\\ud800"}}}', "description holds half of a surrogate pair"),
        (b'{"env": {"A": ' + b"1" * 5000 + b"}}", "app.json is not JSON"),
        (b'{"env": {"A": {"required": "no"}}}', "env 'A': required is true or false"),
        (b'{"env": {"A": {"generator": "uuid"}}}', "env 'A': the only generator is secret"),
        (b" " * (1024 * 1024 + 1), "app.json is too large"),
    ],
)
def test_what_is_wrong_is_named(text: bytes, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        wanted_vars(text)
    assert words in caught.value.message
