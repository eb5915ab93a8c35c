"""The moment of the switch, where something fails in the middle of it."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from hostd.control import reconcile
from hostd.errors import Unavailable
from hostd.model.route import Route, ToError
from tests.control.house import HOST, House, house_in
from tests.eventually import until
from tests.fakes_control import FakeRouter


class DyingRouter(FakeRouter):
    """Takes a Route in and then does not answer, as often as `silent` says."""

    silent = 0

    async def publish(self, routes: Sequence[Route]) -> None:
        await super().publish(routes)
        if self.silent:
            self.silent -= 1
            raise Unavailable("the router does not answer")


@pytest.mark.parametrize("silent", [1, 2])
async def test_a_route_that_was_taken_without_an_answer_is_taken_back(tmp_path: Path, silent: int) -> None:
    router = DyingRouter()
    async with house_in(tmp_path, router) as house:
        await house.deploy()
        before = house.route
        router.silent = silent
        with pytest.raises(Unavailable, match="does not answer"):
            await house.deploy()
        assert (house.route, house.running) == (before, ["web-v1"])
        await house.deploy()
        assert house.route.release == "v3"


async def test_so_is_that_of_a_first_release(tmp_path: Path) -> None:
    router = DyingRouter()
    async with house_in(tmp_path, router) as house:
        router.silent = 1
        with pytest.raises(Unavailable, match="does not answer"):
            await house.deploy()
        assert router.routes[HOST].target == ToError("H81")
        assert house.running == []


async def test_what_is_drained_is_no_stray(house: House) -> None:
    await house.deploy()
    house.router.under_way = 1
    await house.deploy()
    await until(lambda: bool(house.platform.formers))
    house.clock[0] += timedelta(minutes=2)
    await reconcile._stop_strays(house.platform)
    assert house.running == ["web-v1", "web-v2"]
    house.router.under_way = 0
    await house.settled()
    assert (house.running, house.kept_frozen) == (["web-v2"], ["web-v1"])
    assert not house.platform.leaving
