"""The webhook, and the API's routes about forges."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from hostd.control.logs import LogBook
from hostd.control.platform import BODIES, Platform
from hostd.http.app import create_app
from hostd.http.webhooks import BODY_LIMIT
from tests.fakes_control import platform_in
from tests.forge import pull_request, pushed, signed
from tests.http.conftest import client, token_of

COMMIT = "c0ffee" * 6 + "c0ff"
FORGE = "/api/v1/apps/shop/forge"
WANTED = {"repository": "http://127.0.0.1:3000/me/shop.git", "kind": "github"}


@pytest.fixture
def platform(tmp_path: Path) -> object:
    with platform_in(tmp_path) as made:
        yield replace(made, private_forges=True)


@pytest.fixture
async def ada(platform: Platform, server: httpx.ASGITransport) -> AsyncIterator[httpx.AsyncClient]:
    async with client(server, await token_of(platform, "ada")) as made:
        await made.post("/api/v1/apps", json={"name": "shop"})
        yield made


@pytest.fixture
async def hook(ada: httpx.AsyncClient) -> tuple[str, str]:
    """The webhook's path and secret."""
    connected = (await ada.post(FORGE, json=WANTED)).json()
    return urlsplit(connected["webhook"]).path, connected["secret"]


async def send(
    stranger: httpx.AsyncClient, hook: tuple[str, str], event: str, payload: object, key: str = "1"
) -> httpx.Response:
    headers, body = signed(hook[1], event, payload, key)
    return await stranger.post(hook[0], headers=headers, content=body)


async def test_a_forge_is_connected_shown_and_disconnected(ada: httpx.AsyncClient) -> None:
    assert (await ada.get(FORGE)).status_code == 404
    connected = await ada.post(FORGE, json=WANTED | {"token": "s3cret"})
    assert connected.status_code == 201
    assert connected.json()["webhook"].startswith("http://localhost:8081/webhooks/forge/")
    shown = await ada.get(FORGE)
    assert (shown.json()["kind"], shown.json()["has_token"]) == ("github", True)
    assert "s3cret" not in shown.text
    assert connected.json()["secret"] not in shown.text
    assert (await ada.post(FORGE, json=WANTED)).status_code == 409
    assert (await ada.delete(FORGE)).status_code == 204
    assert (await ada.get(FORGE)).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "bitbucket"},
        {"repository": "file:///etc"},
        {"repository": "https://me:pw@example.org/a/b"},
        {"api": "ftp://example.org/x"},
        {"token": "two words"},
        {"unknown": "x"},
    ],
)
async def test_what_cannot_be_followed_is_refused(ada: httpx.AsyncClient, wrong: dict[str, str]) -> None:
    assert (await ada.post(FORGE, json=WANTED | wrong)).status_code == 422


async def test_somebody_elses_forge_is_not_to_be_seen(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, hook: tuple[str, str]
) -> None:
    assert (await bob.get(FORGE)).status_code == 404
    assert (await bob.get(f"{FORGE}/deliveries")).status_code == 404
    assert (await bob.post(f"{FORGE}/deliveries/1/approve")).status_code == 404


async def test_a_push_is_recorded_and_answered_at_once(
    ada: httpx.AsyncClient, stranger: httpx.AsyncClient, hook: tuple[str, str], platform: Platform
) -> None:
    answer = await send(stranger, hook, "push", pushed("refs/heads/main", COMMIT))
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert platform.queued.is_set()
    (listed,) = (await ada.get(f"{FORGE}/deliveries")).json()
    assert (listed["branch"], listed["commit"], listed["state"]) == ("main", COMMIT, "queued")
    again = await send(stranger, hook, "push", pushed("refs/heads/main", COMMIT))
    assert (again.status_code, again.json()) == (200, {"detail": "duplicate: already seen"})
    assert len((await ada.get(f"{FORGE}/deliveries")).json()) == 1


async def test_a_delivery_stays_known_over_a_restart(
    stranger: httpx.AsyncClient, hook: tuple[str, str], platform: Platform, logbook: LogBook
) -> None:
    await send(stranger, hook, "push", pushed("refs/heads/main", COMMIT))
    restarted = httpx.ASGITransport(create_app(replace(platform), logbook))
    async with client(restarted, None) as later:
        assert (await send(later, hook, "push", pushed("refs/heads/main", COMMIT))).status_code == 200


async def test_ping_is_answered(stranger: httpx.AsyncClient, hook: tuple[str, str]) -> None:
    answer = await send(stranger, hook, "ping", {"hook_id": 1})
    assert (answer.status_code, answer.json()) == (200, {"detail": "pong"})
    answer = await send(stranger, hook, "star", {"repository": {"full_name": "me/shop"}})
    assert (answer.status_code, answer.json()["detail"][:8]) == (202, "ignored:")


async def test_a_fork_waits(
    ada: httpx.AsyncClient, stranger: httpx.AsyncClient, hook: tuple[str, str], platform: Platform
) -> None:
    answer = await send(stranger, hook, "pull_request", pull_request("opened", 12, COMMIT))
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
    assert not platform.queued.is_set()
    (waiting,) = (await ada.get(f"{FORGE}/deliveries", params={"waiting": True})).json()
    approved = await ada.post(f"{FORGE}/deliveries/{waiting['id']}/approve")
    assert (approved.status_code, approved.json()["approved_by"]) == (202, "ada")
    assert platform.queued.is_set()
    assert (await ada.post(f"{FORGE}/deliveries/{waiting['id']}/approve")).status_code == 409
    assert (await ada.post(f"{FORGE}/deliveries/999/redeliver")).status_code == 404


async def test_without_the_right_signature_nothing_is_recorded(
    ada: httpx.AsyncClient, stranger: httpx.AsyncClient, hook: tuple[str, str]
) -> None:
    headers, body = signed("another", "push", pushed("refs/heads/main", COMMIT), "1")
    wrong = await stranger.post(hook[0], headers=headers, content=body)
    assert wrong.status_code == 401
    assert "bad signature: x-hub-signature-256" in wrong.json()["detail"]
    missing = await stranger.post(hook[0], content=body)
    assert missing.status_code == 401
    assert "the signature is missing" in missing.json()["detail"]
    right, _ = signed(hook[1], "push", pushed("refs/heads/main", COMMIT), "1")
    changed = await stranger.post(hook[0], headers=right, content=body.replace(b": ", b":"))
    assert changed.status_code == 401
    assert (await ada.get(f"{FORGE}/deliveries")).json() == []


async def test_a_webhook_there_is_none_of_and_a_body_that_is_too_long(
    stranger: httpx.AsyncClient, hook: tuple[str, str]
) -> None:
    assert (await stranger.post("/webhooks/forge/0123456789abcdef", content=b"{}")).status_code == 404
    assert (await stranger.get(hook[0])).status_code == 405
    assert (await stranger.post(hook[0], content=b"x" * (BODY_LIMIT + 1))).status_code == 413

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 1024 * 1024

    assert (await stranger.post(hook[0], content=pieces())).status_code == 413


async def test_a_push_of_two_thousand_commits_is_taken(
    stranger: httpx.AsyncClient, hook: tuple[str, str]
) -> None:
    payload = pushed("refs/heads/main", COMMIT) | {"commits": [{"message": "x" * 2000}] * 2048}
    assert (await send(stranger, hook, "push", payload)).status_code == 202


async def test_of_one_forge_a_few_bodies_are_read_at_once(
    server: httpx.ASGITransport, hook: tuple[str, str]
) -> None:
    at_once = most = 0

    async def slow() -> AsyncIterator[bytes]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        yield b"{"
        await asyncio.sleep(0.05)
        at_once -= 1

    async with client(server, "") as stranger:
        answers = await asyncio.gather(*(stranger.post(hook[0], content=slow()) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {401}
    assert most == BODIES
