import time

import httpx
import pytest

from hostd.control.platform import Platform
from tests.model.test_traffic import record


async def test_the_last_minute_is_shown_by_release_and_by_second(
    ada: httpx.AsyncClient, platform: Platform
) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    ended = time.time() - 2
    for status, seconds in ((200, 0.1), (200, 0.1), (503, 0.4)):
        platform.traffic.note(record(ended, seconds, status, "v3"))
    shown = (await ada.get("/api/v1/apps/shop/traffic?seconds=10")).json()
    assert (shown["seconds"], shown["requests"], shown["per_second"], shown["errors"]) == (10, 3, 0.3, 1)
    assert shown["statuses"] == {"2xx": 2, "5xx": 1}
    assert shown["p50_ms"] == pytest.approx(100, rel=0.05)
    assert shown["p99_ms"] == pytest.approx(400, rel=0.05)
    assert list(shown["releases"]) == ["v3"] and shown["releases"]["v3"]["requests"] == 3
    assert sum(each["requests"] for each in shown["history"]) == 3 and len(shown["history"]) == 10
    assert shown["history"][0]["p95_ms"] is None


@pytest.mark.parametrize("seconds", ["0", "-1", "301", "1e9", "NaN", ""])
async def test_a_window_that_is_not_kept_is_refused(ada: httpx.AsyncClient, seconds: str) -> None:
    await ada.post("/api/v1/apps", json={"name": "shop"})
    answer = await ada.get(f"/api/v1/apps/shop/traffic?seconds={seconds}")
    assert answer.status_code == 422
