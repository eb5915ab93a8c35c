"""Bodies of git requests that come slowly."""

import asyncio

import pytest
from fastapi import Request
from starlette.types import Message

from hostd.errors import Invalid
from hostd.http.body import PATIENCE, SLOWEST, Body


async def received(piece: bytes, seconds: float, pieces: int, reading: float = 0.0) -> int:
    """The bytes of a body whose pieces come so many seconds apart, each read for `reading` seconds."""
    now, left, total = [0.0], pieces, 0

    async def receive() -> Message:
        nonlocal left
        await asyncio.sleep(0)
        left -= 1
        now[0] += seconds
        return {"type": "http.request", "body": piece, "more_body": left > 0}

    scope = {"type": "http", "method": "POST", "headers": []}
    async for each in Body(Request(scope, receive), 1 << 30, lambda: now[0]).pieces():
        total += len(each)
        now[0] += reading
    return total


async def test_a_body_that_comes_too_slowly_is_refused_after_a_while() -> None:
    with pytest.raises(Invalid, match=f"more slowly than {SLOWEST} bytes a second"):
        await received(b"x" * (SLOWEST - 1), 1, int(PATIENCE) + 2)


async def test_a_slow_line_and_a_slow_reader_are_waited_for() -> None:
    assert await received(b"x" * SLOWEST, 1, 100) == 100 * SLOWEST
    assert await received(b"x", 1, int(PATIENCE)) == PATIENCE
    assert await received(b"xx", 0.001, 100, reading=60) == 200
