"""One push while its client is there: C git, the Transcript as the client reads it, and when a hang-up cancels.

Both edges of git, HTTP and SSH, receive through it.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import AsyncExitStack

from hostd.control.platform import Platform
from hostd.control.push import accept
from hostd.errors import HostdError
from hostd.git.receive import Received, Say, Session
from hostd.model.app import App, User
from hostd.transcript import Transcript

NO_LFS = "hostd does not store LFS objects: commit the files themselves (git lfs migrate export)"
Send = Callable[[bytes], Awaitable[None]]
_log = logging.getLogger(__name__)


class Receiving:
    """One push to an App. A client that hangs up before the commit point cancels it; after that it goes on without
    anybody to read about it.

    `open`, then over HTTP (`stateless`) `feed` and `answer`, over SSH `converse`.
    """

    def __init__(self, platform: Platform, app: App, user: User, *, stateless: bool) -> None:
        self._platform = platform
        self._app = app
        self._user = user
        self._transcript = Transcript()
        self._held = AsyncExitStack()
        self._session = Session(platform.repositories.path(app), self._gate, stateless=stateless)

    @property
    def committed(self) -> bool:
        """Whether the push is past its commit point."""
        return self._transcript.committed

    async def open(self) -> None:
        """Start git. Raises Unavailable if it is not installed."""
        await self._session.open()

    async def feed(self, body: AsyncIterable[bytes]) -> None:
        """Give git what the client sends, to its end. What breaks in there is raised; it ends the push, unless that
        is committed."""
        try:
            await self._session.feed(body)
        except BaseException:
            if not self.committed:
                await asyncio.shield(self._close())
            raise

    async def answer(self, send: Send, gone: Awaitable[object]) -> None:
        """Give `send` all that git says, to its end. `gone` ends when the client has hung up."""
        answering = asyncio.create_task(self._answer(send))
        leaving = asyncio.ensure_future(gone)
        self._platform.background.add(answering)  # so that a shutdown waits for what is past the commit point
        answering.add_done_callback(self._platform.background.discard)
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done() or self.committed:
                await asyncio.shield(answering)
        finally:
            leaving.cancel()
            if not self.committed:
                answering.cancel()
                await asyncio.gather(answering, return_exceptions=True)
                await asyncio.shield(self._close())  # it may never have begun, and so not have closed

    async def converse(self, body: AsyncIterable[bytes], send: Send, gone: Awaitable[object]) -> None:
        """`feed` and `answer` at the same time, to the end of the answer. Raises as `feed` does."""
        feeding = asyncio.create_task(self._session.feed(body))
        answering = asyncio.create_task(self.answer(send, gone))
        try:
            await asyncio.wait({feeding, answering}, return_when=asyncio.FIRST_COMPLETED)
            if feeding.done() and not self.committed:
                feeding.result()
            await answering
        finally:
            for task in (feeding, answering):
                task.cancel()
            await asyncio.gather(feeding, answering, return_exceptions=True)

    async def _answer(self, send: Send) -> None:
        try:
            async for data in self._session.answer():
                await send(data)
        finally:
            await asyncio.shield(self._close())

    async def _close(self) -> None:
        await self._session.close()
        await self._held.aclose()

    async def _gate(self, received: Received, say: Say) -> None:
        following = asyncio.create_task(self._follow(say))
        try:
            await accept(self._platform, self._app, self._user, received, self._transcript, self._held)
        except HostdError:
            raise
        except Exception as error:
            reference = secrets.token_hex(4)
            _log.exception("push to %s failed (reference %s)", self._app.name, reference)
            raise HostdError(f"hostd failed, not your push (reference {reference})") from error
        finally:
            self._transcript.close()
            await following

    async def _follow(self, say: Say) -> None:
        async for line in self._transcript.follow():
            say(line)
