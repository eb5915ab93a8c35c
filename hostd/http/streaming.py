"""Answers that come while work is done: a verb's Transcript as NDJSON, log lines as text or as events.

NDJSON: `{"line": "..."}` for each line as it is said, then one `{"result": {...}}` or `{"error": {...}}`, where the
error is a problem document. Empty lines keep the connection alive. A verb that fails before it said a line is
answered with the problem document itself and its status.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi.responses import StreamingResponse

from hostd.control.platform import Platform
from hostd.errors import HostdError
from hostd.http.problems import problem_of, unexpected
from hostd.transcript import Transcript

ALIVE = 15.0  # seconds of silence after which an empty line is sent
NDJSON = "application/x-ndjson"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
T = TypeVar("T")
_log = logging.getLogger(__name__)


async def streamed(
    platform: Platform, work: Callable[[Transcript], Awaitable[T]], shown: Callable[[T], Any]
) -> StreamingResponse:
    """Do `work` and answer with its Transcript and what `shown` makes of its result.

    A client that goes away cancels the work, unless the Transcript is committed; then it goes on without them.
    """
    transcript = Transcript()
    task = asyncio.create_task(_closing(work, transcript))
    lines = transcript.follow()
    first = await anext(lines, None)
    if first is None:
        await task  # raises what ended it before it said anything

    async def body() -> AsyncIterator[str]:
        try:
            if first is not None:
                yield _line(first)
                async with aclosing(_with_beat(lines)) as coming:
                    async for line in coming:
                        yield "\n" if line is None else _line(line)
            yield await _end(task, shown)
        finally:
            _let_go(platform, task, transcript)

    return StreamingResponse(body(), media_type=NDJSON, headers=HEADERS)


def log_stream(lines: AsyncGenerator[str, None], as_events: bool) -> StreamingResponse:
    """Log lines as they come, one a line, or as server-sent events."""

    async def body() -> AsyncIterator[str]:
        async with aclosing(_with_beat(lines)) as coming:
            async for line in coming:
                if as_events:
                    yield ": alive\n\n" if line is None else f"data: {line}\n\n"
                else:
                    yield f"{line or ''}\n"

    kind = "text/event-stream" if as_events else "text/plain; charset=utf-8"
    return StreamingResponse(body(), media_type=kind, headers=HEADERS)


async def _closing(work: Callable[[Transcript], Awaitable[T]], transcript: Transcript) -> T:
    try:
        return await work(transcript)
    finally:
        transcript.close()


async def _end(task: asyncio.Task[T], shown: Callable[[T], Any]) -> str:
    try:
        return json.dumps({"result": shown(await asyncio.shield(task))}) + "\n"
    except HostdError as error:
        return json.dumps({"error": problem_of(error)}) + "\n"
    except Exception as error:  # noqa: BLE001 (the edge: the answer has begun, so Guard cannot tell of it)
        return json.dumps({"error": unexpected(error)}) + "\n"


def _let_go(platform: Platform, task: asyncio.Task[Any], transcript: Transcript) -> None:
    if task.done():
        return
    if not transcript.committed:
        task.cancel()
    platform.background.add(task)
    task.add_done_callback(platform.background.discard)
    task.add_done_callback(_note_end)


def _note_end(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if isinstance(error, HostdError):
        _log.info("work whose client went away failed: %s", error.message)
    elif error:
        unexpected(error)


def _line(line: str) -> str:
    return json.dumps({"line": line}) + "\n"


async def _with_beat(lines: AsyncIterator[str]) -> AsyncGenerator[str | None, None]:
    """`lines`, and None for every ALIVE seconds without one. Closes `lines` with itself."""
    waiting: asyncio.Task[str | None] | None = None
    try:
        while True:
            waiting = waiting or asyncio.create_task(_next(lines))
            done, _ = await asyncio.wait({waiting}, timeout=ALIVE)
            if not done:
                yield None
                continue
            line, waiting = waiting.result(), None
            if line is None:
                return
            yield line
    finally:
        if waiting:
            waiting.cancel()
            await asyncio.wait({waiting})
        if isinstance(lines, AsyncGenerator):
            await lines.aclose()


async def _next(lines: AsyncIterator[str]) -> str | None:
    return await anext(lines, None)
