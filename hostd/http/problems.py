"""Failures as RFC 9457 problem documents: type, title, status, code, detail, hint. The only place that makes them."""

import json
import logging
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hostd.errors import HostdError
from hostd.model.names import shown

UNSAID = ("value", "password", "token")  # fields that may hold a secret: their content is never repeated
_log = logging.getLogger(__name__)


def problem(status: int, code: str, detail: str, hint: str = "", **more: str) -> dict[str, Any]:
    """The members of a problem document; `more` are further ones, as `field`."""
    title = code.replace("_", " ")
    members = {
        "type": f"urn:hostd:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
    }
    return members | ({"hint": hint} if hint else {}) | more


def problem_of(error: HostdError) -> dict[str, Any]:
    """An explained failure as a problem document."""
    return problem(error.http_status, error.code, error.message, error.hint)


def unexpected(error: BaseException) -> dict[str, Any]:
    """Anything else: the operator gets the traceback, the person a reference to it."""
    reference = secrets.token_hex(4)
    _log.exception("unexpected failure, reference %s", reference, exc_info=error)
    detail = f"hostd has a fault of its own; reference {reference}"
    return problem(500, "internal", detail, "the operator finds the reference in hostd's own log")


def response(members: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A problem document as a response; pure ASCII, so that no hostile text can break it."""
    extra = dict(headers or {})
    if members["status"] == HTTPStatus.UNAUTHORIZED:
        extra.setdefault("WWW-Authenticate", 'Basic realm="hostd", charset="UTF-8"')
    if members["status"] == HTTPStatus.TOO_MANY_REQUESTS:
        extra.setdefault("Retry-After", "60")
    body = json.dumps(members, ensure_ascii=True)
    return Response(body, members["status"], extra, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Have `app` answer every failure with a problem document."""
    app.add_exception_handler(HostdError, _explained)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _plain)
    app.add_middleware(Guard)


class Guard:
    """The edge's `except Exception`: a fault of ours ends as a problem document, never as a torn answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. A response that has begun cannot be mended: then the connection is closed."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            await response(unexpected(error))(scope, receive, send)


async def _explained(request: Request, error: Exception) -> Response:
    assert isinstance(error, HostdError)
    return response(problem_of(error))


async def _not_valid(request: Request, error: Exception) -> Response:
    """The first thing that is wrong, with where it is; the value itself only if it is short text."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    value = first.get("input")
    said = isinstance(value, str | int | float) and first["loc"][-1] not in UNSAID
    given = f" (given: {shown(str(value))})" if said else ""
    detail = f"{shown(field)[1:-1]}: {first['msg'][:1].lower()}{first['msg'][1:]}{given}"
    return response(problem(422, "invalid", detail, field=shown(field)[1:-1]))


async def _plain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = {
        404: f"there is nothing at {shown(request.url.path)}",
        405: f"{shown(request.method)} is not possible here",
    }.get(status, str(error.detail).lower())
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "invalid")
    return response(problem(status, code, detail), error.headers)
