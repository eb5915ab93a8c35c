"""Git over HTTP (gitprotocol-http): who may, then C git. A push's answer is its Transcript, live, and git's report.

The answer starts only after the whole request was read: proxies stall otherwise, and a client that is still sending
would never read why it was refused.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from hostd.control.access import Action
from hostd.control.apps import find_app
from hostd.control.platform import Platform
from hostd.control.receiving import NO_LFS, Receiving
from hostd.errors import HostdError, LimitExceeded, Unauthorized
from hostd.git import fetch
from hostd.git.config import PACK_LIMIT
from hostd.git.report import fatal
from hostd.http.auth import Door
from hostd.http.body import Body
from hostd.model.app import App, User

SERVICES = {"git-upload-pack": Action.PULL, "git-receive-pack": Action.PUSH}
AT_ONCE = 16  # pushes that are received
AT_ONCE_OF_USER = 4  # or one User with slow connections could keep all others out
FETCH_LIMIT = 64 * 1024 * 1024  # bytes of a fetch request, inflated
NO_CACHE = {"Cache-Control": "no-cache, max-age=0, must-revalidate", "X-Accel-Buffering": "no"}


class GitRoute(APIRoute):
    """A route whose failures are plain text."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's way to wrap a route."""
        handle = super().get_route_handler()

        async def handle_or_refuse(request: Request) -> Response:
            try:
                return await handle(request)
            except HostdError as error:
                return _refusal(error)

        return handle_or_refuse


def git_routes(platform: Platform, door: Door) -> APIRouter:
    """The routes below /NAME.git/."""
    routes = APIRouter(include_in_schema=False, route_class=GitRoute)
    at_once = asyncio.Semaphore(AT_ONCE)
    of_user = defaultdict[int, asyncio.Semaphore](lambda: asyncio.Semaphore(AT_ONCE_OF_USER))

    @routes.get("/{name}.git/info/refs")
    async def advertise(name: str, request: Request) -> Response:
        service = request.query_params.get("service", "")
        if service not in SERVICES:
            return _plain(403, "dumb HTTP is off" if not service else "unknown service")
        found = await _enter(platform, door, request, name, SERVICES[service])
        protocol = request.headers.get("git-protocol", "") if service == "git-upload-pack" else ""
        repository = platform.repositories.path(found[0])
        refs = await fetch.advertise(repository, service.removeprefix("git-"), protocol)
        return Response(refs, media_type=f"application/x-{service}-advertisement", headers=NO_CACHE)

    @routes.post("/{name}.git/git-upload-pack")
    async def upload(name: str, request: Request) -> Response:
        found = await _enter(platform, door, request, name, Action.PULL)
        if refusal := _check_type(request, "git-upload-pack"):
            return refusal
        body = b"".join([piece async for piece in Body(request, FETCH_LIMIT).pieces()])
        answer = fetch.upload(
            platform.repositories.path(found[0]),
            _once(body),
            request.headers.get("git-protocol", ""),
            stateless=True,
        )
        return StreamingResponse(answer, media_type="application/x-git-upload-pack-result", headers=NO_CACHE)

    @routes.post("/{name}.git/git-receive-pack")
    async def receive(name: str, request: Request) -> Response:
        found = await _enter(platform, door, request, name, Action.PUSH)
        if refusal := _check_type(request, "git-receive-pack"):
            return refusal
        receiving, body = Receiving(platform, *found, stateless=True), Body(request, PACK_LIMIT)
        try:
            async with of_user[found[1].id], at_once:
                await receiving.open()
                await receiving.feed(body.pieces())
        except LimitExceeded as error:  # real pushes meet these, and git shows no text beside an HTTP status
            await body.drop()
            return Response(
                fatal(error.message, error.hint), media_type=PushResponse.media_type, headers=NO_CACHE
            )
        return PushResponse(receiving)

    @routes.api_route("/{name}.git/info/lfs/{rest:path}", methods=["GET", "POST", "PUT"])
    async def lfs(name: str, rest: str, request: Request) -> Response:
        await _enter(platform, door, request, name, Action.PULL)
        return JSONResponse({"message": NO_LFS}, 501, media_type="application/vnd.git-lfs+json")

    return routes


class PushResponse(Response):
    """What git says while it receives, as the answer to a push whose request was read already."""

    media_type = "application/x-git-receive-pack-result"

    def __init__(self, receiving: Receiving) -> None:
        super().__init__(headers=NO_CACHE)
        del self.headers["content-length"]
        self._receiving = receiving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def give(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self._receiving.answer(give, _disconnected(receive))
        await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _enter(
    platform: Platform, door: Door, request: Request, name: str, action: Action
) -> tuple[App, User]:
    """The App and who asks."""
    address = request.client.host if request.client else ""
    user = await door.user(request.headers.get("authorization"), address)
    return await find_app(platform, user, action, name), user


def _refusal(error: HostdError) -> Response:
    """In plain text, which git shows to the pusher; without a token 401, so that git asks for one."""
    challenge = {"WWW-Authenticate": 'Basic realm="hostd", charset="UTF-8"'}
    headers = challenge if isinstance(error, Unauthorized) else {}
    return _plain(error.http_status, "\n".join(filter(None, (error.message, error.hint))), headers)


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response(text + "\n", status, media_type="text/plain", headers=NO_CACHE | (headers or {}))


def _check_type(request: Request, service: str) -> Response | None:
    if request.headers.get("content-type") != f"application/x-{service}-request":
        return _plain(415, f"the content type must be application/x-{service}-request")
    return None


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
