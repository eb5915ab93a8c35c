"""The API's routes about Certificates and TLS."""

from datetime import UTC, datetime

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hostd.control.platform import Platform
from tests.fakes_control import FakeWorld
from tests.model.test_certificate import key_pem, made

WWW = "www.example.com"
PATH = f"/api/v1/apps/shop/certificates/{WWW}"


@pytest.fixture
async def shop(platform: Platform, ada: httpx.AsyncClient) -> None:
    """shop of ada's, with a domain that is proved."""
    assert isinstance(platform.world, FakeWorld)
    platform.world.names[WWW] = platform.world.own
    await ada.post("/api/v1/apps", json={"name": "shop"})
    assert (await ada.post("/api/v1/apps/shop/domains", json={"domain": WWW})).json()["proved"]


@pytest.mark.usefixtures("shop")
async def test_a_certificate_is_uploaded_listed_and_removed_and_its_key_never_shown(
    platform: Platform, ada: httpx.AsyncClient
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    chain = made(key, key, WWW, now=datetime.now(UTC).replace(microsecond=0))
    uploaded = await ada.put(PATH, json={"chain": chain, "key": key_pem(key)})
    assert uploaded.status_code == 200, uploaded.text
    assert (uploaded.json()["host"], uploaded.json()["uploaded"]) == (WWW, True)
    listed = await ada.get("/api/v1/apps/shop/certificates")
    assert listed.json() == [uploaded.json()] and "PRIVATE" not in listed.text
    assert (await ada.get("/api/v1/apps/shop/domains")).json()[0]["certificate"] == uploaded.json()
    assert (await ada.delete(PATH)).status_code == 204
    assert (await ada.delete(PATH)).status_code == 404


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"chain": "x"},
        {"chain": "x", "key": "x"},
        {"chain": 1, "key": 2},
        {"chain": "x" * 70_000, "key": "x"},
    ],
)
async def test_what_is_no_pair_is_refused(ada: httpx.AsyncClient, body: object) -> None:
    assert (await ada.put(PATH, json=body)).status_code == 422


@pytest.mark.usefixtures("shop")
async def test_redirects_and_hsts_are_shown_and_changed(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    path = "/api/v1/apps/shop/tls"
    assert (await ada.get(path)).json() == {"redirect": True, "hsts": 0}
    assert (await ada.patch(path, json={"hsts": 60})).json() == {"redirect": True, "hsts": 60}
    assert (await ada.patch(path, json={"redirect": False})).json() == {"redirect": False, "hsts": 60}
    for wrong in ({"hsts": -1}, {"hsts": 10**12}, {"hsts": "1"}, {"redirect": 1}, {"other": 1}):
        assert (await ada.patch(path, json=wrong)).status_code == 422
    assert (await bob.get(path)).status_code == 404
    assert (await bob.put(PATH, json={"chain": "x", "key": "x"})).status_code == 404
