"""Waiting for what other tasks, threads or processes do, without guessing how long it takes."""

import asyncio
from collections.abc import Callable

DEADLINE = 10.0  # seconds


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds. Raises TimeoutError after DEADLINE."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 (what is awaited knows no event of ours)
            await asyncio.sleep(0.01)
