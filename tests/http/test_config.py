import json

import httpx
import pytest

from hostd.control.platform import Platform
from tests.http.conftest import deploy

CONFIG = "/api/v1/apps/shop/config"


def result(answer: httpx.Response) -> object:
    """What a verb's lines end with."""
    end = json.loads(answer.text.splitlines()[-1])
    return end.get("result", end.get("error"))


async def test_a_secret_is_taken_and_never_given(ada: httpx.AsyncClient) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    await ada.patch(CONFIG, json={"KEY": {"value": "s3cret", "secret": True}, "OTHER": {"generate": 64}})
    answer = await ada.get(CONFIG)
    assert "s3cret" not in answer.text
    for name in ("KEY", "OTHER"):
        assert answer.json()[name] == {"value": None, "secret": True, "scopes": ["run"], "source": "own"}
    refused = await ada.patch(CONFIG, json={"KEY": {"secret": False}})
    assert (refused.status_code, refused.json()["detail"][:17]) == (422, "KEY is a secret a")
    await ada.patch(CONFIG, json={"KEY": {"value": "shown", "secret": False, "scopes": ["preview", "build"]}})
    assert (await ada.get(CONFIG)).json()["KEY"] == {
        "value": "shown",
        "secret": False,
        "scopes": ["build", "preview"],
        "source": "own",
    }


@pytest.mark.parametrize(
    "body",
    [
        {"KEY": {"value": "s3cret\ud800"}},
        {"KEY": "s3cret\ud800"},
        {"KEY": {"value": "s3cret", "generate": 64}},
        {"KEY": "s3cret\0"},
    ],
)
async def test_what_is_refused_is_not_repeated(ada: httpx.AsyncClient, body: object) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    answer = await ada.patch(CONFIG, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "s3cret" not in answer.text


async def test_a_change_of_what_was_seen_before_somebody_elses_is_refused(ada: httpx.AsyncClient) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    seen = {"If-Match": (await ada.get(CONFIG)).headers["etag"]}
    assert (await ada.patch(CONFIG, json={"A": "1"}, headers=seen)).status_code == 200
    late = await ada.patch(CONFIG, json={"A": "2"}, headers=seen)
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    assert (await ada.patch(CONFIG, json={"A": "3"}, headers={"If-Match": "*"})).status_code == 200
    assert (await ada.get(CONFIG)).json()["A"]["value"] == "3"


async def test_a_group_is_made_filled_attached_and_shown(ada: httpx.AsyncClient, platform: Platform) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    await deploy(platform, "shop")
    made = await ada.post("/api/v1/groups", json={"name": "mail"})
    assert (made.status_code, made.json()) == (201, {"name": "mail", "config": {}, "attached_to": []})
    assert result(await ada.patch("/api/v1/groups/mail", json={"HOST": "one"})) == []
    attached = result(await ada.put("/api/v1/apps/shop/groups/mail"))
    assert isinstance(attached, dict)
    assert attached["name"] == "v2"
    assert (await ada.get(CONFIG)).json()["HOST"]["source"] == "group mail"
    assert (await ada.get("/api/v1/groups/mail")).json()["attached_to"] == ["shop-production"]
    changed = result(await ada.patch("/api/v1/groups/mail", json={"HOST": None}))
    assert isinstance(changed, list)
    assert [release["name"] for release in changed] == ["v3"]
    assert (await ada.delete("/api/v1/groups/mail")).status_code == 409
    detached = result(await ada.delete("/api/v1/apps/shop/groups/mail"))
    assert isinstance(detached, dict)
    assert detached["name"] == "v4"
    assert (await ada.delete("/api/v1/groups/mail")).status_code == 204
    assert (await ada.get("/api/v1/groups")).json() == []


async def test_somebody_elses_group_reads_as_one_that_is_not_there(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await ada.post("/api/v1/groups", json={"name": "mail"})
    for method, body in (("GET", None), ("PATCH", {"A": "1"}), ("DELETE", None)):
        theirs = await bob.request(method, "/api/v1/groups/mail", json=body)
        nobodys = await bob.request(method, "/api/v1/groups/none", json=body)
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.text.replace("mail", "NAME") == nobodys.text.replace("none", "NAME")


async def test_two_releases_are_compared(ada: httpx.AsyncClient, platform: Platform) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    await deploy(platform, "shop")
    await ada.patch(CONFIG, json={"A": "1"})
    found = (await ada.get(f"{CONFIG}/diff?first=1&second=2")).json()
    assert found == [{"name": "A", "kind": "added", "before": None, "after": None}]
    assert (await ada.get(f"{CONFIG}/diff?first=1&second=9")).status_code == 404
    for query in ("", "?first=1", "?second=2"):
        assert (await ada.get(f"{CONFIG}/diff{query}")).status_code == 422
