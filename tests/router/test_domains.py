"""Names that stand for another host, wildcards, and what hostd answers itself."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from hostd.model.log import RequestRecord
from hostd.model.route import Route, ToHost, ToInstances
from hostd.router.nginx import NginxRouter
from tests.router.conftest import to
from tests.router.wire import backend, get, says

pytestmark = pytest.mark.router

WWW, HOST = "www.example.com", "shop.localhost"
PROOF = "/.well-known/hostd-proof/"


def domain(host: str = WWW, to_host: str = HOST) -> Route:
    return Route(host, ToHost(to_host), "shop", environment="shop-production")


async def test_a_domain_goes_where_its_host_goes_at_that_moment(router: NginxRouter, port: int) -> None:
    async with backend(says("v1")) as first, backend(says("v2")) as second:
        await router.publish([to(first), domain()])
        assert (await get(port, WWW)).body == b"v1"
        await router.publish([to(second)])
        assert (await get(port, WWW)).body == b"v2"
        await router.withdraw([HOST])
        assert (await get(port, WWW)).headers["x-hostd-error"] == "H81"


async def test_a_wildcard_stands_for_names_one_label_below_that_have_no_route(
    router: NginxRouter, port: int
) -> None:
    async with backend(says("any")) as wild, backend(says("own")) as exact:
        routes = [to(wild), to(exact, host="own.example.com"), domain("*.example.com")]
        await router.publish(routes)
        assert (await get(port, WWW)).body == b"any"
        assert (await get(port, "own.example.com")).body == b"own"
        for other in ("example.com", "a.b.example.com", "*.example.com", "com"):
            assert (await get(port, other)).status in (400, 404)


async def test_a_request_to_a_domain_is_logged_for_its_environment(router: NginxRouter, port: int) -> None:
    async with backend(says("v1")) as endpoint:
        await router.publish([replace(to(endpoint), environment="shop-production"), domain()])
        records: AsyncIterator[RequestRecord] = router.requests()
        await get(port, WWW)
        record = await anext(records)
    assert (record.host, record.environment, record.release) == (WWW, "shop-production", "v1")


async def test_a_sleeping_app_is_woken_by_its_domain(router: NginxRouter, port: int) -> None:
    woken: list[str] = []
    async with backend(says("awake")) as endpoint:

        async def wake(host: str) -> str:
            woken.append(host)
            await router.publish([to(endpoint)])
            return "ok"

        await router.on_wake(wake)
        await router.publish([Route(HOST, ToInstances((), asleep=True), "shop"), domain()])
        assert (await get(port, WWW)).body == b"awake"
    assert woken == [HOST]


async def test_hostds_answer_is_for_one_host_and_one_path(router: NginxRouter, port: int) -> None:
    async with backend(says("app")) as endpoint:
        await router.publish([to(endpoint)])
        for host in (WWW, HOST):
            await router.answer(host, PROOF + "1", "the token")
            assert (await get(port, host, PROOF + "1")).body == b"the token"
        assert (await get(port, HOST, PROOF + "2")).body == b"app"
        assert (await get(port, "other.example.com", PROOF + "1")).status == 404
        await router.answer(HOST, PROOF + "1", None)
        assert (await get(port, HOST, PROOF + "1")).body == b"app"
