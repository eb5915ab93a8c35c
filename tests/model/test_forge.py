"""Which repositories may be followed."""

import pytest

from hostd.errors import Invalid
from hostd.model.forge import check_commit, check_repository, check_token, path_of


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/me/shop.git",
        "https://github.com/me/.github",
        "https://git.example.org:8443/group/sub/shop",
        "https://[2001:db8::1]/me/shop",
    ],
)
def test_a_repository_is_followed_over_https(url: str) -> None:
    assert check_repository(url + "/", private=False) == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://github.com/me/shop", "over https, not"),
        ("git@github.com:me/shop.git", "over https, not"),
        ("ssh://git@github.com/me/shop.git", "holds no name or password"),
        ("file:///etc/passwd", "over https, not"),
        ("ext::sh -c id", "over https, not"),
        ("/var/lib/hostd", "over https, not"),
        ("-oProxyCommand=id", "over https, not"),
        ("", "over https, not"),
        ("https://token@github.com/me/shop", "holds no name or password"),
        ("https://github.com", "is not the URL of a repository"),
        ("https://github.com/", "is not the URL of a repository"),
        ("https:///me/shop", "is not the URL of a repository"),
        ("https://github.com/me/../../shop", "is not the URL of a repository"),
        ("https://github.com/me/shop?x=1", "is not the URL of a repository"),
        ("https://github.com/me/shop#x", "is not the URL of a repository"),
        ("https://github.com/me/sh op", "is not the URL of a repository"),
        ("https://github.com/me/shop\n", "is not the URL of a repository"),
        ("https://github.com:0/me/shop", "is not the URL of a repository"),
        ("https://github.com:99999/me/shop", "is not the URL of a repository"),
        ("https://github.com/" + "x" * 500, "is not the URL of a repository"),
    ],
)
def test_nothing_else_is(url: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        check_repository(url, private=False)


def test_plain_http_is_for_private_forges() -> None:
    assert check_repository("http://10.0.0.1:3000/me/shop", private=True)
    with pytest.raises(Invalid, match="over https or http, not"):
        check_repository("file:///me/shop", private=True)


def test_the_path_is_owner_and_name() -> None:
    assert path_of("https://gitlab.com/group/sub/shop.git") == "group/sub/shop"


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "\u00e9", "x" * 1025])
def test_a_token_fits_into_a_header(token: str) -> None:
    with pytest.raises(Invalid, match="not a token"):
        check_token(token)


@pytest.mark.parametrize("commit", ["", "HEAD", "A" * 40, "a" * 39, "a" * 40 + "\n"])
def test_a_commit_is_40_hex_digits(commit: str) -> None:
    with pytest.raises(Invalid, match="not the id of a commit"):
        check_commit(commit)
