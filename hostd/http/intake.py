"""What may come in to the API: bodies of at most 1 MiB, of JSON, within 30 s. Refused before anything reads them."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hostd.http.problems import problem, response

BODY_LIMIT = 1024 * 1024  # bytes
BODY_SECONDS = 30.0


class Intake:
    """Reads the whole body of a request below /api, then hands it on. Other paths pass untouched (git streams)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            return await self._app(scope, receive, send)
        refusal: dict[str, object] | None = None
        body = b""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body, whole = await _read(receive, _declared_length(scope))
            if not whole:
                refusal = problem(413, "too_large", f"the body is longer than {BODY_LIMIT} bytes")
            elif body and _content_type(scope) != "application/json":
                refusal = problem(415, "invalid", "the body is not application/json")
        except TimeoutError:
            refusal = problem(408, "timeout", f"the body did not come within {BODY_SECONDS:.0f} s")
        if refusal:
            return await response(refusal, {"Connection": "close"})(scope, receive, send)
        await self._app(scope, _replay(body, receive), send)


def _declared_length(scope: Scope) -> int:
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value) if value.isdigit() else 0


def _content_type(scope: Scope) -> str:
    value: bytes = dict(scope["headers"]).get(b"content-type", b"")
    return value.decode("latin-1").partition(";")[0].strip().lower()


async def _read(receive: Receive, declared: int) -> tuple[bytes, bool]:
    """The body, and whether that is all of it."""
    body = b""
    if declared > BODY_LIMIT:
        return body, False
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            return b"", False
        if message["type"] != "http.request" or not message.get("more_body"):
            return body, True


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
