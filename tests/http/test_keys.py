"""The API's routes about SSH keys."""

import httpx
import pytest

from hostd.control.keys import load_keyring
from hostd.control.platform import Platform

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"


async def test_a_key_is_added_listed_and_removed(platform: Platform, ada: httpx.AsyncClient) -> None:
    added = await ada.post("/api/v1/keys", json={"key": f"{KEY} ada@laptop\n"})
    assert added.status_code == 201
    shown = added.json()
    assert (shown["name"], shown["type"], shown["last_used_at"]) == ("ada@laptop", "ssh-ed25519", None)
    assert (await ada.get("/api/v1/keys")).json() == [shown]
    assert list(platform.keyring) == [shown["fingerprint"]]
    assert (await ada.delete(f"/api/v1/keys/{shown['id']}")).status_code == 204
    assert (await ada.get("/api/v1/keys")).json() == []
    assert platform.keyring == {}


async def test_keys_are_known_again_after_a_restart(platform: Platform, ada: httpx.AsyncClient) -> None:
    await ada.post("/api/v1/keys", json={"key": KEY, "name": "laptop"})
    known = dict(platform.keyring)
    platform.keyring.clear()
    await load_keyring(platform)
    assert platform.keyring == known


async def test_a_key_without_a_comment_is_called_by_its_fingerprint(ada: httpx.AsyncClient) -> None:
    shown = (await ada.post("/api/v1/keys", json={"key": KEY})).json()
    assert shown["name"] == shown["fingerprint"]


async def test_a_key_cannot_be_added_twice_not_even_by_another(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await ada.post("/api/v1/keys", json={"key": KEY})
    again = await ada.post("/api/v1/keys", json={"key": f"{KEY} other comment"})
    stolen = await bob.post("/api/v1/keys", json={"key": KEY})
    assert (again.status_code, stolen.status_code) == (409, 409)
    assert "you have added this key already" in again.json()["detail"]
    assert "another user has this key" in stolen.json()["detail"]


async def test_somebody_elses_key_is_neither_seen_nor_removed(
    platform: Platform, ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    key_id = (await ada.post("/api/v1/keys", json={"key": KEY})).json()["id"]
    assert (await bob.get("/api/v1/keys")).json() == []
    assert (await bob.delete(f"/api/v1/keys/{key_id}")).status_code == 404
    assert len(platform.keyring) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn"}, "this is a private key"),
        ({"key": "ssh-dss AAAA"}, "keys of the type 'ssh-dss' are not taken"),
        ({"key": KEY, "name": ""}, "name"),
        ({"key": KEY, "name": "\x1b[2J"}, "name"),
        ({"key": "x" * 20_000}, "key"),
        ({}, "key"),
    ],
)
async def test_what_will_not_do_is_refused(
    platform: Platform, ada: httpx.AsyncClient, body: dict[str, str], words: str
) -> None:
    refused = await ada.post("/api/v1/keys", json=body)
    assert refused.status_code == 422
    assert words in refused.json()["detail"]
    assert platform.keyring == {}
