"""Taking turns at Environments: what changes one does so alone, and some of it to the end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from hostd.control.platform import Platform
from hostd.model.app import Environment
from hostd.store import environments
from hostd.transcript import Transcript

T = TypeVar("T")


@asynccontextmanager
async def turn(
    platform: Platform, environment: Environment, transcript: Transcript | None = None
) -> AsyncIterator[Environment]:
    """Alone with `environment`, given as it is by then; a wait is told to `transcript`.

    Raises NotFound if it was destroyed before its turn came.
    """
    lock = platform.lock(environment)
    if transcript and lock.locked():
        say_wait(transcript)
        if environment.id in platform.canaries:
            transcript.detail("It is a canary; to end it now: hostd canary promote, or hostd canary abort")
    async with lock:
        yield await platform.db.read(environments.by_id, environment.id)


def say_wait(transcript: Transcript) -> None:
    """Somebody else has the turn."""
    transcript.step("Another deploy of this app is under way; waiting for it to end")


async def hold(
    platform: Platform,
    labels: Iterable[str],
    held: AsyncExitStack,
    on_wait: Callable[[], None] = lambda: None,
) -> None:
    """Alone with the Environments of these labels, also those that are yet to be made, until `held` is closed.

    In the order of the labels, so that two who want the same ones never wait for each other.
    """
    locks = [platform.locks[label] for label in sorted(set(labels))]
    if any(lock.locked() for lock in locks):
        on_wait()
    for lock in locks:
        await held.enter_async_context(lock)


async def to_the_end(work: Coroutine[None, None, T]) -> T:
    """Do `work` whole: who is cancelled meanwhile is so only once it has ended, still in its turn."""
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise
