"""Sitting at a Run over a WebSocket.

The client begins with JSON text, `RunWanted`; then its binary frames are input, and texts are `{"size": {"columns": 80,
"rows": 24}}` or `{"end": true}`, the end of its input. The server answers `{"started": {...}}`, binary frames of
output, whose first byte is 1 for stdout and 2 for stderr, `{}` now and then as a sign of life, and at last
`{"ended": {"status": 0, ...}}` or `{"error": {...}}`, a problem document. Whoever closes the connection ends the Run.
"""

import asyncio
import json
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from hostd.errors import Invalid
from hostd.http.models import Taken
from hostd.model.task import Size

FRAME_LIMIT = 1024 * 1024  # bytes
BEAT = 10.0  # seconds; only by sending does one learn of a client that went away while its input waits
FIRST_SECONDS = 30.0  # until the client says what it wants
STDOUT, STDERR = b"\x01", b"\x02"


class Terminal:
    """A Console at the other end of a WebSocket. `take` and `give` raise WebSocketDisconnect once it is closed."""

    def __init__(self, websocket: WebSocket, size: Size | None) -> None:
        self.size = size
        self._websocket = websocket

    async def take(self) -> bytes | Size:
        """The next input, size, or b"" at the end of the input. Raises Invalid for anything else."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            if data := message.get("bytes"):
                return bytes(data)
            if text := message.get("text"):
                match parsed(text):
                    case {"size": {"columns": int(columns), "rows": int(rows)}} if _fits(columns, rows):
                        return Size(columns, rows)
                    case {"end": True}:
                        return b""
                    case _:
                        raise Invalid("that is no message of a terminal's")

    async def give(self, data: bytes, is_error: bool) -> None:
        """Waits until the client has read what was sent before."""
        await self._websocket.send_bytes((STDERR if is_error else STDOUT) + data)

    async def say(self, message: dict[str, Any]) -> None:
        """A text, as JSON."""
        await self._websocket.send_text(json.dumps(message))

    async def beat(self) -> None:
        """Send signs of life, for ever. Raises WebSocketDisconnect."""
        while True:
            await asyncio.sleep(BEAT)
            await self.say({})


async def first_message(websocket: WebSocket, kind: type[Taken]) -> Any:
    """What the client wants, as a `kind`. Raises Invalid, WebSocketDisconnect."""
    try:
        async with asyncio.timeout(FIRST_SECONDS):
            return kind.model_validate_json(await websocket.receive_text())
    except TimeoutError as error:
        raise Invalid(f"nothing was said within {FIRST_SECONDS:.0f} s") from error
    except KeyError as error:
        raise Invalid("the first message is a text") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"{where or 'the first message'}: {first['msg'].lower()}") from error


def parsed(text: str) -> Any:
    """JSON. Raises Invalid."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid("that is not JSON") from error


def _fits(columns: int, rows: int) -> bool:
    return 1 <= columns <= 65535 and 1 <= rows <= 65535
