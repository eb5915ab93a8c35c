"""Where forges deliver. Nobody logs in here: what proves a delivery is its signature, over the body as it came."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from hostd.control import webhooks
from hostd.errors import Invalid
from hostd.http.gate import Works
from hostd.http.problems import problem, response
from hostd.model.forge import What

BODY_LIMIT = 10 * 1024 * 1024  # bytes; a push of the 2,048 commits that forges tell of at most is half of it
BODY_SECONDS = 30.0

router = APIRouter(tags=["forges"])


@router.post("/webhooks/forge/{forge_id}", status_code=202)
async def take(forge_id: str, request: Request, platform: Works) -> Response:
    """A forge's delivery. 202: recorded, and done soon, or ignored; 200: a ping, or it was delivered before."""
    forge = await webhooks.find(platform, forge_id)
    async with platform.bodies[forge.id]:
        body = await _body(request)
        if body is None:
            said = problem(413, "too_large", f"the body is longer than {BODY_LIMIT} bytes")
            return response(said, {"Connection": "close"})
        event, delivery = await webhooks.take(platform, forge, request.headers, body)
    if event.what is What.PING:
        return JSONResponse({"detail": "pong"})
    if event.what is What.OTHER:
        return JSONResponse({"detail": f"ignored: {event.note}"}, 202)
    if delivery is None:
        return JSONResponse({"detail": "duplicate: already seen"})
    answer = {"delivery": delivery.id, "state": delivery.state, "detail": delivery.reason}
    return JSONResponse(answer, 202)


async def _body(request: Request) -> bytes | None:
    """All of it, None if it is too long. Raises Invalid if it does not come."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > BODY_LIMIT:
        return None
    pieces, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                pieces.append(piece)
                size += len(piece)
                if size > BODY_LIMIT:
                    return None
    except (TimeoutError, ClientDisconnect) as error:
        raise Invalid(f"the body did not come within {BODY_SECONDS:.0f} s") from error
    return b"".join(pieces)
