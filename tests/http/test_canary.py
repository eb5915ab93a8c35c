import httpx
import pytest

PATH = "/api/v1/apps/shop/canary"


async def test_where_none_is_under_way_there_is_nothing_to_show_or_to_end(ada: httpx.AsyncClient) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    for answer in (await ada.get(PATH), await ada.patch(PATH, json={"end": "abort"})):
        assert (answer.status_code, answer.json()["detail"]) == (404, "no canary is under way")


@pytest.mark.parametrize("body", [{}, {"end": "maybe"}, {"end": None}, {"end": "abort", "now": True}, []])
async def test_there_are_two_ways_to_end_one(ada: httpx.AsyncClient, body: object) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    assert (await ada.patch(PATH, json=body)).status_code == 422
