"""The API's routes about Domains."""

import httpx
import pytest

from hostd.control.platform import Platform
from tests.fakes_control import FakeWorld


async def test_a_domain_is_added_listed_checked_and_removed(
    platform: Platform, ada: httpx.AsyncClient
) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    added = await ada.post("/api/v1/apps/shop/domains", json={"domain": "*.b\u00fccher.example"})
    assert added.status_code == 201
    shown = added.json()
    assert (shown["domain"], shown["readable"]) == ("*.xn--bcher-kva.example", "*.b\u00fccher.example")
    assert (shown["environment"], shown["proved"]) == ("production", False)
    assert shown["records"][0]["name"] == "_hostd.xn--bcher-kva.example"
    assert isinstance(platform.world, FakeWorld)
    platform.world.txt["_hostd.xn--bcher-kva.example"] = [shown["records"][0]["value"]]
    path = "/api/v1/apps/shop/domains/*.b%C3%BCcher.example"
    checked = (await ada.post(f"{path}/check")).json()
    assert checked["proved"] and (await ada.get("/api/v1/apps/shop/domains")).json() == [checked]
    assert (await ada.delete(path)).status_code == 204
    assert (await ada.get("/api/v1/apps/shop/domains")).json() == []
    assert (await ada.delete(path)).status_code == 404


@pytest.mark.parametrize("domain", ["", "com", "a:80", "x" * 2000, 7, None])
async def test_what_cannot_be_a_domain_is_refused(ada: httpx.AsyncClient, domain: object) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    assert (await ada.post("/api/v1/apps/shop/domains", json={"domain": domain})).status_code == 422


async def test_domains_of_anothers_app_are_not_there(ada: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    await ada.post("/api/v1/apps/shop/domains", json={"domain": "www.example.com"})
    assert (await bob.get("/api/v1/apps/shop/domains")).status_code == 404
    assert (await bob.delete("/api/v1/apps/shop/domains/www.example.com")).status_code == 404
