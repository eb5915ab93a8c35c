"""Git over HTTP (gitprotocol-http): who may, then C git. A push's answer is its Transcript, live, and git's report.

The answer starts only after the whole request was read: proxies stall otherwise, and a client that is still sending
would never read why it was refused.
"""

import asyncio
import logging
import secrets
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from hostd.control.access import Action
from hostd.control.apps import find_app
from hostd.control.platform import Platform
from hostd.control.push import accept
from hostd.errors import HostdError, Invalid, LimitExceeded, Unauthorized
from hostd.git import fetch
from hostd.git.config import PACK_LIMIT
from hostd.git.receive import Received, Say, Session
from hostd.http.auth import Door
from hostd.model.app import App, User
from hostd.transcript import Transcript

SERVICES = {"git-upload-pack": Action.PULL, "git-receive-pack": Action.PUSH}
FETCH_LIMIT = 64 * 1024 * 1024  # bytes of a fetch request, inflated
NO_CACHE = {"Cache-Control": "no-cache, max-age=0, must-revalidate", "X-Accel-Buffering": "no"}
_log = logging.getLogger(__name__)


def git_routes(platform: Platform, door: Door) -> APIRouter:
    """The routes below /NAME.git/. Errors are plain text: git shows it to the pusher."""
    routes = APIRouter(include_in_schema=False)
    at_once = asyncio.Semaphore(16)

    @routes.get("/{name}.git/info/refs")
    async def advertise(name: str, request: Request) -> Response:
        service = request.query_params.get("service", "")
        if service not in SERVICES:
            return _plain(403, "dumb HTTP is off" if not service else "unknown service")
        found = await _enter(platform, door, request, name, SERVICES[service])
        if isinstance(found, Response):
            return found
        protocol = request.headers.get("git-protocol", "") if service == "git-upload-pack" else ""
        repository = platform.repositories.path(found[0])
        refs = await fetch.advertise(repository, service.removeprefix("git-"), protocol)
        return Response(refs, media_type=f"application/x-{service}-advertisement", headers=NO_CACHE)

    @routes.post("/{name}.git/git-upload-pack")
    async def upload(name: str, request: Request) -> Response:
        found = await _enter(platform, door, request, name, Action.PULL)
        if isinstance(found, Response):
            return found
        if refusal := _check_type(request, "git-upload-pack"):
            return refusal
        try:
            body = b"".join([chunk async for chunk in _inflated(request, FETCH_LIMIT)])
        except HostdError as error:
            return _refusal(error)
        answer = fetch.upload(
            platform.repositories.path(found[0]), _once(body), request.headers.get("git-protocol", "")
        )
        return StreamingResponse(answer, media_type="application/x-git-upload-pack-result", headers=NO_CACHE)

    @routes.post("/{name}.git/git-receive-pack")
    async def receive(name: str, request: Request) -> Response:
        found = await _enter(platform, door, request, name, Action.PUSH)
        if isinstance(found, Response):
            return found
        if refusal := _check_type(request, "git-receive-pack"):
            return refusal
        push = PushResponse(platform, *found)
        try:
            async with at_once:
                await push.receive(_inflated(request, PACK_LIMIT))
        except HostdError as error:
            return _refusal(error)
        return push

    @routes.api_route("/{name}.git/info/lfs/{rest:path}", methods=["GET", "POST", "PUT"])
    async def lfs(name: str, rest: str, request: Request) -> Response:
        found = await _enter(platform, door, request, name, Action.PULL)
        if isinstance(found, Response):
            return found
        text = "hostd does not store LFS objects: commit the files themselves (git lfs migrate export)"
        return JSONResponse({"message": text}, 501, media_type="application/vnd.git-lfs+json")

    return routes


class PushResponse(Response):
    """A Session with its Transcript, as the answer to a push. A client that hangs up before the commit point
    cancels the push; after it the push goes on without anybody to read about it."""

    def __init__(self, platform: Platform, app: App, user: User) -> None:
        super().__init__(media_type="application/x-git-receive-pack-result", headers=NO_CACHE)
        del self.headers["content-length"]
        self._platform = platform
        self._app = app
        self._user = user
        self._transcript = Transcript()
        self._held = AsyncExitStack()
        self._session = Session(platform.repositories.path(app), self._gate, stateless=True)

    async def receive(self, body: AsyncIterator[bytes]) -> None:
        """Read the whole request. Raises HostdError for one that is too large or broken."""
        await self._session.open()
        try:
            await self._session.feed(body)
        except BaseException:
            await asyncio.shield(self._close())
            raise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer, as ASGI wants it."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        answering = asyncio.create_task(self._answer(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if self._transcript.committed:
                await asyncio.shield(answering)
        finally:
            if not self._transcript.committed:
                answering.cancel()
            gone.cancel()
            await asyncio.gather(
                gone, *([] if self._transcript.committed else [answering]), return_exceptions=True
            )

    async def _answer(self, send: Send) -> None:
        try:
            async for data in self._session.answer():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
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


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _enter(
    platform: Platform, door: Door, request: Request, name: str, action: Action
) -> tuple[App, User] | Response:
    """The App and who asks, or the refusal. Without a token the answer is 401, so that git asks for one."""
    address = request.client.host if request.client else ""
    try:
        user = await door.user(request.headers.get("authorization"), address)
        return await find_app(platform, user, action, name), user
    except HostdError as error:
        return _refusal(error)


def _refusal(error: HostdError) -> Response:
    challenge = {"WWW-Authenticate": 'Basic realm="hostd", charset="UTF-8"'}
    headers = challenge if isinstance(error, Unauthorized) else {}
    return _plain(error.http_status, "\n".join(filter(None, (error.message, error.hint))), headers)


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response(text + "\n", status, media_type="text/plain", headers=NO_CACHE | (headers or {}))


def _check_type(request: Request, service: str) -> Response | None:
    if request.headers.get("content-type") != f"application/x-{service}-request":
        return _plain(415, f"the content type must be application/x-{service}-request")
    return None


async def _inflated(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body, inflated if it is gzipped. Raises Invalid for broken gzip, LimitExceeded past `limit` bytes."""
    gzipped = request.headers.get("content-encoding") in ("gzip", "x-gzip")
    inflate = zlib.decompressobj(31)
    total = 0
    async for chunk in request.stream():
        try:
            data = inflate.decompress(chunk, limit + 1 - total) if gzipped else chunk
        except zlib.error as error:
            raise Invalid("bad gzip in the request") from error
        total += len(data)
        if total > limit:
            raise LimitExceeded(f"the request is larger than {limit // 1024 // 1024} MiB")
        yield data


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
