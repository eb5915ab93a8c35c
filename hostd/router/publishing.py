"""The control side of the running nginx: small JSON requests over its unix socket."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from hostd.errors import LimitExceeded, Unavailable

PATIENCE = 5.0  # seconds


class Control:
    """A client of control.lua. Every call raises Unavailable if nginx does not answer in PATIENCE."""

    def __init__(self, socket: Path) -> None:
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket)),
            base_url="http://router",
            timeout=PATIENCE,
        )

    async def publish(self, entries: Mapping[str, str]) -> None:
        """Set entries by host. Raises LimitExceeded if the table has no room for them."""
        await self._ask("publish", entries)

    async def withdraw(self, hosts: Sequence[str]) -> None:
        """Remove hosts; those that are not there are no error."""
        await self._ask("withdraw", hosts)

    async def table(self) -> dict[str, str]:
        """All entries by host."""
        answer = await self._ask("table", {})
        return {host: text for host, text in answer.items() if host}

    async def in_flight(self, endpoints: Sequence[str]) -> int:
        """How many requests are under way to them, in all workers together."""
        answer = await self._ask("in-flight", endpoints)
        return int(answer["count"])

    async def answer(self, host: str, path: str, text: str | None) -> None:
        """Answer `text` at this path of this host, for an hour at most; None: no longer."""
        await self._ask("answer", {"host": host, "path": path} | ({"text": text} if text else {}))

    async def certificate(self, host: str, pems: str | None) -> None:
        """Use this chain and key, with a NUL between them, for `host` from the next handshake on; None: none."""
        await self._ask("certificate", {"host": host} | ({"pems": pems} if pems else {}))

    async def close(self) -> None:
        """Give the connection back."""
        await self._client.aclose()

    async def _ask(self, verb: str, request: object) -> Any:
        answer = await self._post(verb, request)
        if answer.status_code == httpx.codes.INSUFFICIENT_STORAGE:
            raise LimitExceeded(f"the router's table is full: {answer.text}")
        if answer.status_code != httpx.codes.OK:
            raise Unavailable(f"the router answered {answer.status_code} to {verb}")
        return answer.json()

    async def _post(self, verb: str, request: object) -> httpx.Response:
        """Every verb may be repeated, so a worker that died or an nginx that is being started again is waited for."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return await self._client.post(f"/{verb}", json=request)
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"the router does not answer: {error}", hint="run: hostd doctor"
                    ) from error
            await asyncio.sleep(0.05)
