import httpx
import pytest

PATH = "/api/v1/apps/shop/autoscale"


async def test_a_rule_is_made_changed_shown_and_removed(ada: httpx.AsyncClient) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    assert (await ada.get(PATH)).json() is None
    made = {"min": 1, "max": 5, "concurrency": 20, "p95_ms": None}
    assert (await ada.patch(PATH, json={"max": 5})).json() == made
    assert (await ada.patch(PATH, json={"p95_ms": 500})).json() == made | {"p95_ms": 500}
    assert (await ada.get(PATH)).json() == made | {"p95_ms": 500}
    assert (await ada.delete(PATH)).status_code == 204
    assert (await ada.get(PATH)).json() is None


@pytest.mark.parametrize(
    "body",
    [{}, {"min": 2}, {"max": 0}, {"max": -1}, {"max": 10**9}, {"max": 10**30}, {"max": "5"}, {"max": 2.5}]
    + [{"max": True}, {"max": None}, {"max": 2, "min": 3}, {"max": 2, "concurrency": 0}, {"most": 2}, []],
)
async def test_what_is_no_rule_is_refused(ada: httpx.AsyncClient, body: object) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    answer = await ada.patch(PATH, json=body)
    assert answer.status_code == 422, answer.text
    assert (await ada.get(PATH)).json() is None
