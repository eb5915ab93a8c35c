"""Tokens: which open the door, and what those hear that do not."""

import base64
from datetime import timedelta

import httpx
import pytest

from hostd.control.platform import Platform
from hostd.errors import RateLimited, Unauthorized
from hostd.http.auth import FAILURES_LIMIT, WINDOW, Door, token_in
from hostd.store import tokens, users
from tests.http.conftest import token_of


def basic(text: str) -> str:
    """An Authorization header of the basic kind."""
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer hst_abc", "hst_abc"),
        ("bearer   hst_abc ", "hst_abc"),
        (basic("git:hst_abc"), "hst_abc"),
        (basic("hst_abc:"), "hst_abc"),
        (basic("a:b:c"), None),
        ("Bearer abc", None),
        ("Bearer hst_a b\u00e9", None),
        ("Bearer hst_" + "a" * 1000, None),
        ("Basic !!!", None),
        ("Basic " + base64.b64encode(b"\xff\xfe").decode(), None),
        ("Digest hst_abc", None),
        ("hst_abc", None),
    ],
)
def test_a_token_is_read_from_bearer_and_basic_only(header: str, token: str | None) -> None:
    assert token_in(header) == token


async def test_a_right_token_opens_by_bearer_and_by_basic(
    platform: Platform, stranger: httpx.AsyncClient
) -> None:
    token = await token_of(platform, "ada")
    for header in (f"Bearer {token}", basic(f"anybody:{token}")):
        answer = await stranger.get("/api/v1/user", headers={"Authorization": header})
        assert answer.json() == {"name": "ada", "administrator": False}


@pytest.mark.parametrize("header", [None, "", "Bearer hst_wrong", "Basic xx", "Bearer hst_a\x01"])
async def test_no_or_a_wrong_token_is_401_and_says_how_to_come_in(
    stranger: httpx.AsyncClient, header: str | None
) -> None:
    answer = await stranger.get("/api/v1/user", headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert answer.json()["hint"] == "run: hostd login"
    assert "hst_wrong" not in answer.text


async def test_tokens_are_created_used_listed_and_revoked(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    issued = (await ada.post("/api/v1/tokens", json={"name": "laptop", "expires_in_days": 1})).json()
    mine = {"Authorization": f"Bearer {issued['token']}"}
    assert (await stranger.get("/api/v1/user", headers=mine)).status_code == 200
    listed = (await ada.get("/api/v1/tokens")).json()
    assert [item["name"] for item in listed] == ["laptop", "test"]
    assert listed[0]["last_used_at"]
    assert issued["token"] not in (await ada.get("/api/v1/tokens")).text
    assert (await bob.delete(f"/api/v1/tokens/{listed[0]['id']}")).status_code == 404
    assert (await ada.delete(f"/api/v1/tokens/{listed[0]['id']}")).status_code == 204
    assert (await stranger.get("/api/v1/user", headers=mine)).status_code == 401


async def test_an_expired_token_opens_nothing(platform: Platform, stranger: httpx.AsyncClient) -> None:
    user = await platform.db.call(users.create, "ada", False, platform.now())
    past = platform.now() - timedelta(seconds=1)
    token = await platform.db.call(tokens.issue, user.id, "old", past - timedelta(days=1), past)
    answer = await stranger.get("/api/v1/user", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


async def test_a_token_that_expires_makes_none_that_lasts_longer(
    platform: Platform, stranger: httpx.AsyncClient
) -> None:
    user = await platform.db.call(users.create, "ada", False, platform.now())
    soon = platform.now() + timedelta(days=3)
    token = await platform.db.call(tokens.issue, user.id, "short", platform.now(), soon)
    mine = {"Authorization": f"Bearer {token}"}

    async def make(**wanted: int) -> httpx.Response:
        return await stranger.post("/api/v1/tokens", json={"name": "new", **wanted}, headers=mine)

    refused = await make(expires_in_days=4)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert f"expires on {soon:%Y-%m-%d}" in refused.text
    assert [(await make()).status_code, (await make(expires_in_days=2)).status_code] == [201, 201]
    listed = (await stranger.get("/api/v1/tokens", headers=mine)).json()
    assert listed[1]["expires_at"] == listed[2]["expires_at"]  # the one without a time has its maker's


async def test_too_many_wrong_tokens_from_one_address_are_told_to_wait(platform: Platform) -> None:
    now = 0.0
    door = Door(platform, lambda: now)
    right = await token_of(platform, "ada")
    for _ in range(FAILURES_LIMIT):
        with pytest.raises(Unauthorized):
            await door.user("Bearer hst_wrong", "192.0.2.1")
    with pytest.raises(RateLimited):
        await door.user("Bearer hst_wrong", "192.0.2.1")
    with pytest.raises(Unauthorized):
        await door.user("Bearer hst_wrong", "192.0.2.2")
    assert (await door.user(f"Bearer {right}", "192.0.2.1")).name == "ada"
    now = WINDOW + 1
    with pytest.raises(Unauthorized):
        await door.user("Bearer hst_wrong", "192.0.2.1")


async def test_the_wait_is_told_in_a_header(stranger: httpx.AsyncClient) -> None:
    wrong = {"Authorization": "Bearer hst_wrong"}
    answers = [await stranger.get("/api/v1/user", headers=wrong) for _ in range(FAILURES_LIMIT + 1)]
    assert answers[-1].status_code == 429
    assert answers[-1].headers["retry-after"] == "60"
