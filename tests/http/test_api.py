"""The API as a client sees it: what works, and what is refused in which words."""

import json
from collections.abc import Sequence

import httpx
import pytest
from starlette.routing import BaseRoute, Route, WebSocketRoute

from hostd.control.logs import LogBook
from hostd.control.platform import Platform
from hostd.http.app import create_app
from hostd.http.gate import POLICY, WEBSOCKET
from hostd.model.log import LogLine
from hostd.model.route import ToError
from tests.fakes_control import FakeRouter
from tests.http.conftest import deploy


def ends(answer: httpx.Response) -> list[dict[str, object]]:
    """The items of an NDJSON answer."""
    return [json.loads(line) for line in answer.text.splitlines() if line]


def test_every_route_has_a_row_that_says_who_may(platform: Platform, logbook: LogBook) -> None:
    app = create_app(platform, logbook)
    routes = {
        (method, path) for path, methods in walked(app.routes) for method in methods - {"HEAD", "OPTIONS"}
    }
    assert routes - POLICY.keys() == set()
    assert POLICY.keys() - routes == set()
    assert len(routes) > 20


def walked(routes: Sequence[BaseRoute]) -> list[tuple[str, set[str]]]:
    """Path and methods of every route, also of those in an included router, which FastAPI keeps whole."""
    found: list[tuple[str, set[str]]] = []
    for route in routes:
        if included := getattr(route, "original_router", None):
            found += walked(included.routes)
        elif isinstance(route, WebSocketRoute):
            found.append((route.path, {WEBSOCKET}))
        else:
            assert isinstance(route, Route), f"{route!r} is of a kind this test does not know"
            found.append((route.path, set(route.methods or ())))
    return found


async def test_a_new_app_answers_that_nothing_was_pushed_yet(
    ada: httpx.AsyncClient, platform: Platform
) -> None:
    answer = await ada.post("/api/v1/apps", json={"name": "shop"})
    assert answer.status_code == 201
    assert answer.json() | {"created_at": ""} == {
        "name": "shop",
        "url": "http://shop.localhost:8080",
        "git_url": "http://localhost:8081/shop.git",
        "ssh_url": "ssh://git@localhost:2222/shop.git",
        "production_branch": "main",
        "created_at": "",
    }
    assert isinstance(platform.router, FakeRouter)
    assert platform.router.routes["shop.localhost"].target == ToError("H81")
    assert [app["name"] for app in (await ada.get("/api/v1/apps")).json()] == ["shop"]
    info = (await ada.get("/api/v1/apps/shop")).json()
    assert (info["release"], info["formation"]) == (None, {})


@pytest.mark.parametrize(
    "name",
    ["", "a" * 64, "Shop", "a_b", "-x", "x-", "a--b", "1shop", "xn--abc", "www", "admin", "api", "git"]
    + [
        "sh\u043ep",
        "sh\u200bop",
        "shop ",
        "x;id",
        "$(id)",
        "--help",
        "..",
        "a/b",
        "shop\n",
        "\0shop",
        "\ud800",
    ],
)
async def test_a_hostile_name_is_refused_with_the_rule_and_a_name_that_would_do(
    ada: httpx.AsyncClient, name: str
) -> None:
    body = json.dumps({"name": name}).encode()
    answer = await ada.post("/api/v1/apps", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid"
    assert answer.json()["hint"].startswith("try: ")
    assert (await ada.get("/api/v1/apps")).json() == []


async def test_a_name_in_use_and_one_that_was_are_refused_in_the_same_words(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    for name in ("shop", "gone"):
        await ada.post("/api/v1/apps", json={"name": name})
    assert (await ada.delete("/api/v1/apps/gone?confirm=gone")).status_code == 204
    taken = await bob.post("/api/v1/apps", json={"name": "shop"})
    tombstone = await bob.post("/api/v1/apps", json={"name": "gone"})
    assert taken.status_code == tombstone.status_code == 409
    assert taken.text.replace("shop", "NAME") == tombstone.text.replace("gone", "NAME")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("DELETE", "?confirm=shop", None),
        ("GET", "/releases", None),
        ("GET", "/releases/1", None),
        ("PATCH", "/releases/1", {"pinned": True}),
        ("POST", "/rollback", {}),
        ("GET", "/deploys", None),
        ("PATCH", "/deploys", {"paused": True}),
        ("GET", "/builds", None),
        ("GET", "/builds/1", None),
        ("GET", "/processes", None),
        ("GET", "/traffic", None),
        ("GET", "/canary", None),
        ("PATCH", "/canary", {"end": "abort"}),
        ("GET", "/autoscale", None),
        ("PATCH", "/autoscale", {"min": 1, "max": 2}),
        ("DELETE", "/autoscale", None),
        ("PATCH", "/formation", {"web": 2}),
        ("GET", "/config", None),
        ("PATCH", "/config", {"A": "b"}),
        ("GET", "/config/diff?first=1&second=2", None),
        ("PUT", "/groups/mail", None),
        ("DELETE", "/groups/mail", None),
        ("GET", "/logs", None),
        ("GET", "/logs?follow=true", None),
        ("GET", "?preview=topic", None),
        ("PATCH", "", {"production_branch": "trunk"}),
        ("POST", "/promote", {"branch": "topic"}),
        ("GET", "/previews", None),
        ("POST", "/previews", {"branch": "topic"}),
        ("DELETE", "/previews?preview=topic", None),
        ("GET", "/previews/settings", None),
        ("PATCH", "/previews/settings", {"days": 3}),
        ("GET", "/previews/config", None),
        ("PATCH", "/previews/config", {"A": "b"}),
    ],
)
async def test_an_app_of_somebody_else_reads_as_one_that_is_not_there(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, method: str, path: str, body: object
) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    theirs = await bob.request(method, f"/api/v1/apps/shop{path}", json=body)
    absent = await bob.request(method, f"/api/v1/apps/nope{path}", json=body)
    assert theirs.status_code == absent.status_code == 404
    assert theirs.text.replace("shop", "NAME") == absent.text.replace("nope", "NAME")


async def test_an_administrator_sees_every_app(ada: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    assert [app["name"] for app in (await admin.get("/api/v1/apps")).json()] == ["shop"]
    assert (await admin.get("/api/v1/apps/shop")).status_code == 200


async def test_destroying_needs_the_name_and_leaves_nothing(
    ada: httpx.AsyncClient, platform: Platform
) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    await deploy(platform, "shop")
    assert (await ada.delete("/api/v1/apps/shop")).json()["hint"] == "confirm with: shop"
    assert (await ada.delete("/api/v1/apps/shop?confirm=shop")).status_code == 204
    assert (await ada.get("/api/v1/apps/shop")).status_code == 404
    assert isinstance(platform.router, FakeRouter)
    assert platform.router.routes == {}
    assert platform.keepers == {}
    assert list((platform.data / "repositories").iterdir()) == []
    assert not (platform.data / "apps" / "1").exists()


async def test_releases_are_listed_and_shown(ada: httpx.AsyncClient, platform: Platform) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    await deploy(platform, "shop")
    await deploy(platform, "shop")
    listed = (await ada.get("/api/v1/apps/shop/releases")).json()
    assert [(item["name"], item["state"]) for item in listed] == [("v2", "live"), ("v1", "retired")]
    assert "config" not in listed[0]
    one = (await ada.get("/api/v1/apps/shop/releases/1")).json()
    assert (one["buildpacks"], one["build"], one["transcript"]) == (["static 1.0"], None, None)
    assert (await ada.get("/api/v1/apps/shop")).json()["release"] == "v2"
    missing = await ada.get("/api/v1/apps/shop/releases/9")
    assert (missing.status_code, missing.json()["detail"]) == (404, "there is no release v9")


async def test_a_rollback_streams_its_lines_and_ends_with_the_release(
    ada: httpx.AsyncClient, platform: Platform
) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    await deploy(platform, "shop")
    await deploy(platform, "shop")
    answer = await ada.post("/api/v1/apps/shop/rollback", json={})
    assert answer.headers["content-type"] == "application/x-ndjson"
    *lines, last = ends(answer)
    assert {"line": "-----> Launching v3"} in lines
    assert isinstance(last["result"], dict)
    assert (last["result"]["name"], last["result"]["reason"]) == ("v3", "rollback to v1")


async def test_deploys_are_paused_and_resumed(ada: httpx.AsyncClient) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    nothing = {"paused": False, "author": None, "reason": None, "since": None}
    assert (await ada.get("/api/v1/apps/shop/deploys")).json() == nothing
    paused = await ada.patch("/api/v1/apps/shop/deploys", json={"paused": True, "reason": "the fair"})
    assert paused.json() == (await ada.get("/api/v1/apps/shop/deploys")).json()
    assert (paused.json()["author"], paused.json()["reason"]) == ("ada", "the fair")
    refused = await ada.patch("/api/v1/apps/shop/deploys", json={"paused": True, "reason": "two\nlines"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert (await ada.patch("/api/v1/apps/shop/deploys", json={"paused": False})).json() == nothing


async def test_work_that_fails_at_once_has_the_status_of_its_problem(ada: httpx.AsyncClient) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    answer = await ada.post("/api/v1/apps/shop/rollback", json={})
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no release to go back to")
    assert (await ada.patch("/api/v1/apps/shop/formation", json={"web": 2})).status_code == 409


async def test_work_that_fails_later_ends_its_stream_with_the_problem(
    ada: httpx.AsyncClient, platform: Platform
) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    await deploy(platform, "shop")
    assert isinstance(platform.router, FakeRouter)
    platform.router.refuse = "the router is gone"
    answer = await ada.patch("/api/v1/apps/shop/config", json={"GREETING": "hello"})
    assert answer.status_code == 200
    last = ends(answer)[-1]["error"]
    assert isinstance(last, dict)
    assert (last["code"], last["detail"]) == ("unavailable", "the router is gone")


async def test_a_fault_of_hostds_own_gives_a_reference_and_not_its_insides(
    ada: httpx.AsyncClient, platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    (platform.data / "logs" / "shop-production").mkdir(parents=True)
    (platform.data / "logs" / "shop-production" / "current.log").mkdir()
    answer = await ada.get("/api/v1/apps/shop/logs")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    reference = answer.json()["detail"].rpartition(" ")[2]
    assert len(reference) == 8
    assert "IsADirectoryError" in caplog.text
    assert reference in caplog.text
    assert "IsADirectoryError" not in answer.text


async def test_config_is_set_shown_and_unset(ada: httpx.AsyncClient, platform: Platform) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    assert ends(await ada.patch("/api/v1/apps/shop/config", json={"A": "1", "B": "2"}))[-1] == {
        "result": None
    }
    await deploy(platform, "shop")
    last = ends(await ada.patch("/api/v1/apps/shop/config", json={"A": None, "C": "line\nline"}))[-1][
        "result"
    ]
    assert isinstance(last, dict)
    assert last["name"] == "v2"
    shown = (await ada.get("/api/v1/apps/shop/config")).json()
    assert {name: var["value"] for name, var in shown.items()} == {"B": "2", "C": "line\nline"}


async def test_previews_have_settings_and_config_of_their_own(ada: httpx.AsyncClient) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    path = "/api/v1/apps/shop/previews"
    assert (await ada.get(path)).json() == []
    first = {"enabled": True, "days": 7, "has_password": False}
    assert (await ada.get(f"{path}/settings")).json() == first
    changed = await ada.patch(f"{path}/settings", json={"days": 3, "password": "open sesame"})
    assert changed.json() == {"enabled": True, "days": 3, "has_password": True}
    assert (await ada.patch(f"{path}/settings", json={"password": "short"})).status_code == 422
    assert (await ada.patch(f"{path}/settings", json={"password": ""})).json()["has_password"] is False
    assert list((await ada.patch(f"{path}/config", json={"A": "1", "B": "2"})).json()) == ["A", "B"]
    assert list((await ada.patch(f"{path}/config", json={"A": None})).json()) == ["B"]
    assert (await ada.get("/api/v1/apps/shop/config")).json() == {}


async def test_a_preview_that_is_not_there_is_not_found(ada: httpx.AsyncClient) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    for method, path, body in (
        ("GET", "/logs?preview=topic", None),
        ("GET", "/releases?preview=production", None),
        ("DELETE", "/previews?preview=topic", None),
        ("DELETE", "/previews", None),
        ("POST", "/promote", {"branch": "main"}),
        ("POST", "/previews", {"branch": "topic"}),
    ):
        answer = await ada.request(method, f"/api/v1/apps/shop{path}", json=body)
        assert answer.status_code == 404, path


async def test_the_production_branch_can_be_set(ada: httpx.AsyncClient) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    answer = await ada.patch("/api/v1/apps/shop", json={"production_branch": "trunk"})
    assert answer.json()["production_branch"] == "trunk"
    assert (await ada.get("/api/v1/apps/shop")).json()["production_branch"] == "trunk"
    assert (await ada.patch("/api/v1/apps/shop", json={"production_branch": "a..b"})).status_code == 422


async def test_logs_are_given_by_number_and_process(
    ada: httpx.AsyncClient, platform: Platform, logbook: LogBook
) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    for number in range(5):
        process = "web" if number % 2 else "worker"
        logbook.add(
            LogLine(0, "shop-production", "app", process, f"shop-production-{process}-v1-ab-1", str(number))
        )
    answer = await ada.get("/api/v1/apps/shop/logs?lines=2")
    assert answer.text.splitlines() == [
        "1970-01-01T00:00:00.000000+00:00 app[web.1]: 3",
        "1970-01-01T00:00:00.000000+00:00 app[worker.1]: 4",
    ]
    only = await ada.get("/api/v1/apps/shop/logs?process=web")
    assert [line.rpartition(" ")[2] for line in only.text.splitlines()] == ["1", "3"]


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/apps", {"name": 7}, "name"),
        ("POST", "/apps", {"name": None}, "name"),
        ("POST", "/apps", {}, "name"),
        ("POST", "/apps", {"name": "shop2", "admin": True}, "admin"),
        ("POST", "/apps", [], "body"),
        ("POST", "/tokens", {"name": ""}, "name"),
        ("POST", "/tokens", {"name": "x" * 65}, "name"),
        ("POST", "/tokens", {"name": "x", "expires_in_days": 1e9}, "expires_in_days"),
        ("POST", "/tokens", {"name": "x", "expires_in_days": True}, "expires_in_days"),
        ("DELETE", "/tokens/99999999999999999999", None, "token_id"),
        ("DELETE", "/tokens/-1", None, "token_id"),
        ("GET", "/apps/shop/releases?limit=1e9", None, "limit"),
        ("GET", "/apps/shop/releases?limit=1000000000", None, "limit"),
        ("GET", "/apps/shop/releases?limit=-1", None, "limit"),
        ("GET", "/apps/shop/releases?limit=0", None, "limit"),
        ("GET", "/apps/shop/builds?limit=201", None, "limit"),
        ("GET", "/apps/shop/releases/x", None, "number"),
        ("GET", "/apps/shop/builds/99999999999999999999", None, "build_id"),
        ("GET", "/apps/shop/logs?lines=1501", None, "lines"),
        ("GET", "/apps/shop/logs?process=../x", None, "process"),
        ("POST", "/apps/shop/rollback", {"number": "1"}, "number"),
        ("POST", "/apps/shop/rollback", {"number": 0}, "number"),
        ("POST", "/apps/shop/rollback", {"pause": 1}, "pause"),
        ("PATCH", "/apps/shop/deploys", {"paused": "yes"}, "paused"),
        ("PATCH", "/apps/shop/deploys", {"paused": True, "reason": "x" * 201}, "reason"),
        ("PATCH", "/apps/shop", {"production_branch": ""}, "production_branch"),
        ("PATCH", "/apps/shop", {"production_branch": "x" * 251}, "production_branch"),
        ("PATCH", "/apps/shop", {}, "production_branch"),
        ("POST", "/apps/shop/promote", {"branch": 7}, "branch"),
        ("POST", "/apps/shop/previews", {"branch": "\ud800"}, "branch"),
        ("PATCH", "/apps/shop/previews/settings", {"days": 0}, "days"),
        ("PATCH", "/apps/shop/previews/settings", {"days": 366}, "days"),
        ("PATCH", "/apps/shop/previews/settings", {"enabled": 1}, "enabled"),
        ("PATCH", "/apps/shop/previews/settings", {"salt": "x"}, "salt"),
        ("PATCH", "/apps/shop/previews/settings", {"password": "x" * 129}, "password"),
        ("GET", "/apps/shop/releases?preview=" + "x" * 251, None, "preview"),
        ("PATCH", "/apps/shop/formation", {"web": -1}, "web"),
        ("PATCH", "/apps/shop/formation", {"web": 1e9}, "web"),
        ("PATCH", "/apps/shop/formation", {"web": "2"}, "web"),
        ("PATCH", "/apps/shop/formation", {}, "body"),
        ("PATCH", "/apps/shop/config", {"A": 1}, "A"),
        ("PATCH", "/apps/shop/config", {"A": {"B": "C"}}, "A"),
        ("PATCH", "/apps/shop/config", {"A": "\ud800"}, "A"),
        ("PATCH", "/apps/shop/config", {"A": {"value": 1}}, "A"),
        ("PATCH", "/apps/shop/config", {"A": {"generate": 15}}, "A"),
        ("PATCH", "/apps/shop/config", {"A": {"generate": 1e9}}, "A"),
        ("PATCH", "/apps/shop/config", {"A": {"value": "1", "scopes": []}}, "A"),
        ("PATCH", "/apps/shop/config", {"A": {"value": "1", "scopes": ["all"]}}, "A"),
        ("PATCH", "/apps/shop/config", {"A": {"value": "1", "secret": "yes"}}, "A"),
        ("GET", "/apps/shop/config/diff?first=0&second=2", None, "first"),
        ("PATCH", "/groups/mail", {"A": 1}, "A"),
        ("POST", "/groups", {"name": 1}, "name"),
        ("PATCH", "/apps/shop/config", {f"A{n}": "" for n in range(501)}, "body"),
    ],
)
async def test_a_field_that_breaks_its_rule_is_named(
    ada: httpx.AsyncClient, method: str, path: str, body: object, field: str
) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    content = None if body is None else json.dumps(body).encode()
    answer = await ada.request(
        method, f"/api/v1{path}", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.json()["field"].split(".")[0] == field


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"name": "shop"}', "application/x-www-form-urlencoded", 415),
        (b'{"name": "shop"}', "text/plain", 415),
        (b"name=shop", "application/json", 422),
        (b"[" * 100_000, "application/json", 400),
        (b'{"name": "\xff"}', "application/json", 400),
        (b'{"name": "' + b"a" * 1024 * 1024 + b'"}', "application/json", 413),
        (b'{"name": "shop",}', "application/json", 422),
    ],
)
async def test_a_body_that_is_not_json_or_too_long_is_refused(
    ada: httpx.AsyncClient, body: bytes, kind: str, status: int
) -> None:
    answer = await ada.post("/api/v1/apps", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_method_cannot_be_smuggled_in_a_header(ada: httpx.AsyncClient) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    await ada.get("/api/v1/apps/shop?confirm=shop", headers={"X-HTTP-Method-Override": "DELETE"})
    assert (await ada.get("/api/v1/apps/shop")).status_code == 200


async def test_the_openapi_document_has_an_example_for_what_is_taken(stranger: httpx.AsyncClient) -> None:
    document = (await stranger.get("/openapi.json")).json()
    assert document["components"]["schemas"]["NewApp"]["properties"]["name"]["examples"] == ["shop"]
    assert "/api/v1/apps/{app}" in document["paths"]


async def test_unknown_paths_and_methods_are_problems_too(
    ada: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    for path in ("/", "/nope", "/api/v1/nope"):
        answer = await stranger.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await ada.put("/api/v1/apps")).json()["code"] == "method_not_allowed"
    assert (await stranger.get("/healthz")).json() == {"status": "ok"}
