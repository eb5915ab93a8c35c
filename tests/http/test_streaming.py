"""Answers that come while the work is done, and what becomes of the work when nobody reads on."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from fastapi.responses import StreamingResponse

from hostd.control.logs import LogBook
from hostd.control.platform import Platform
from hostd.errors import RolloutFailed
from hostd.http.streaming import log_stream, streamed
from hostd.model.log import LogLine
from hostd.transcript import Transcript


def body_of(answer: StreamingResponse) -> AsyncGenerator[str, None]:
    """What the answer sends, piece by piece."""
    assert isinstance(answer.body_iterator, AsyncGenerator)
    return answer.body_iterator


class Work:
    """Says one line, then waits until it may go on; `ended` tells how it ended."""

    def __init__(self, committed: bool) -> None:
        self.committed = committed
        self.may_go_on = asyncio.Event()
        self.done = asyncio.Event()
        self.ended = ""

    async def __call__(self, transcript: Transcript) -> str:
        try:
            if self.committed:
                transcript.commit()
            transcript.say("one")
            await self.may_go_on.wait()
            transcript.say("")
            self.ended = "whole"
            return "result"
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        finally:
            self.done.set()


async def test_lines_come_as_they_are_said_and_the_result_last(platform: Platform) -> None:
    work = Work(committed=False)
    body = body_of(await streamed(platform, work, str.upper))
    assert json.loads(await anext(body)) == {"line": "one"}
    work.may_go_on.set()
    assert [json.loads(piece) for piece in [piece async for piece in body]] == [
        {"line": ""},
        {"result": "RESULT"},
    ]


@pytest.mark.parametrize(("committed", "ended"), [(False, "cancelled"), (True, "whole")])
async def test_a_client_that_goes_away_cancels_only_before_the_commit_point(
    platform: Platform, committed: bool, ended: str
) -> None:
    work = Work(committed)
    async with asyncio.timeout(5), aclosing(body_of(await streamed(platform, work, str))) as body:
        await anext(body)
    work.may_go_on.set()
    async with asyncio.timeout(5):
        await work.done.wait()
        if platform.background:
            await asyncio.wait(platform.background)
    assert work.ended == ended
    assert platform.background == set()


async def test_a_client_cancelled_while_it_waits_for_the_next_line_is_a_client_gone(
    platform: Platform,
) -> None:
    work = Work(committed=True)
    body = body_of(await streamed(platform, work, str))
    await anext(body)
    reading = asyncio.create_task(anext(body))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    assert len(platform.background) == 1
    work.may_go_on.set()
    async with asyncio.timeout(5):
        await asyncio.wait(platform.background)
    assert work.ended == "whole"


async def test_a_failure_before_the_first_line_is_raised(platform: Platform) -> None:
    async def work(transcript: Transcript) -> None:
        raise RolloutFailed("no")

    with pytest.raises(RolloutFailed):
        await streamed(platform, work, str)


async def test_a_fault_of_hostds_own_ends_the_stream_with_a_reference(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(transcript: Transcript) -> None:
        transcript.say("one")
        raise ZeroDivisionError("secret detail")

    pieces = [json.loads(piece) async for piece in body_of(await streamed(platform, work, str))]
    assert pieces[0] == {"line": "one"}
    assert pieces[1]["error"]["code"] == "internal"
    assert pieces[1]["error"]["detail"].rpartition(" ")[2] in caplog.text
    assert "secret detail" not in json.dumps(pieces)
    assert "secret detail" in caplog.text


@pytest.mark.parametrize(("as_events", "piece"), [(True, "data: {}\n\n"), (False, "{}\n")])
async def test_log_lines_are_sent_as_text_or_as_events(logbook: LogBook, as_events: bool, piece: str) -> None:
    logbook.add(LogLine(0, "shop-production", "app", "web", "x-1", "hello"))
    body = body_of(log_stream(logbook.follow("shop-production", 10), as_events))
    async with asyncio.timeout(5), aclosing(body):
        assert await anext(body) == piece.format("1970-01-01T00:00:00.000000+00:00 app[web.1]: hello")
    assert logbook._followers == {}
