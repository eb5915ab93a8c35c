"""A part of the requests goes to another Release, and the log says which."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from hostd.model.instance import Endpoint
from hostd.model.log import RequestRecord
from hostd.model.route import Route, Share, ToInstances
from hostd.router.nginx import NginxRouter
from tests.router.conftest import to
from tests.router.wire import Answer, Request, backend, get, says

pytestmark = pytest.mark.router
HOST = "shop.localhost"


def shared(old: Endpoint, new: Endpoint, percent: int, first_byte: float = 30.0) -> Route:
    """v1, and so much of v2."""
    return replace(to(old), share=Share("v2", ToInstances((new,), first_byte, idle=2 * first_byte), percent))


async def ask(port: int, count: int, *fields: str) -> list[Answer]:
    return [await get(port, HOST, "/", *fields) for _ in range(count)]


async def test_a_share_of_the_clients_gets_the_new_release(router: NginxRouter, port: int) -> None:
    async with backend(says("old")) as old, backend(says("new")) as new:
        await router.publish([shared(old, new, 25)])
        counts = Counter(answer.body for answer in await ask(port, 400))
        assert counts.keys() == {b"old", b"new"}
        assert 50 <= counts[b"new"] <= 150
        await router.publish([to(old)])
        assert {answer.body for answer in await ask(port, 20)} == {b"old"}


async def test_who_comes_again_stays_with_a_release_while_there_are_two(
    router: NginxRouter, port: int
) -> None:
    async with backend(says("old")) as old, backend(says("new")) as new:
        await router.publish([shared(old, new, 50)])
        first = await get(port, HOST)
        cookie = first.headers["set-cookie"].partition(";")[0]
        assert cookie == {b"old": "hostd_release=v1", b"new": "hostd_release=v2"}[first.body]
        for release, body in (("v1", b"old"), ("v2", b"new")):
            answers = await ask(port, 20, f"Cookie: a=b; hostd_release={release}")
            assert {answer.body for answer in answers} == {body}
            assert not any("set-cookie" in answer.headers for answer in answers)
        assert {a.body for a in await ask(port, 40, "Cookie: hostd_release=v0")} == {b"old", b"new"}
        await router.publish([to(old)])
        last = await get(port, HOST, "/", "Cookie: hostd_release=v2")
        assert last.body == b"old" and "set-cookie" not in last.headers


async def test_the_log_names_the_release_also_of_what_got_no_answer(router: NginxRouter, port: int) -> None:
    async def silent(_: Request, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    records = router.requests()
    async with backend(says("old")) as old, backend(silent) as new:
        await router.publish([shared(old, new, 50, first_byte=0.2)])
        for release, status in (("v1", 200), ("v2", 504)):
            answer = await get(port, HOST, "/", f"Cookie: hostd_release={release}")
            assert answer.status == status
            record = await one(records)
            assert (record.release, record.status, record.environment) == (release, status, "")


async def one(records: AsyncIterator[RequestRecord]) -> RequestRecord:
    async with asyncio.timeout(10):
        return await anext(records)


async def test_a_request_that_the_new_release_refuses_is_answered_by_the_old(
    router: NginxRouter, port: int
) -> None:
    async with backend(says("old")) as old:
        async with backend(says("gone")) as new:
            pass
        await router.publish([shared(old, new, 99)])
        assert {answer.body for answer in await ask(port, 20)} == {b"old"}
