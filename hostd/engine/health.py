"""Whether a web Instance answers: first its port, then HTTP."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import h11

from hostd.engine.base import Engine
from hostd.errors import RolloutFailed
from hostd.model.health import HealthCheck
from hostd.model.instance import Instance

FIRST_WAIT, LONGEST_WAIT = 0.002, 0.02  # seconds between looks
BODY_LIMIT = 64 * 1024  # bytes in which the expected text is looked for
EXCERPT = 200  # characters of an answer that are shown
AGENT = "hostd-health"


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at an Instance found: no `trouble` is health, else `said` is how its answer begins."""

    trouble: str = ""
    said: str = ""

    def __str__(self) -> str:
        return f"{self.trouble}: {self.said}" if self.said else self.trouble


async def wait_until_healthy(
    engine: Engine, instance: Instance, check: HealthCheck | None = None, host: str = "localhost"
) -> None:
    """Until `check.path` is answered as `check` wants it. Raises RolloutFailed saying what happened instead.

    `host` is the Host header. It ends at once when the Instance does.
    """
    check = check or HealthCheck()
    seen = _Seen()
    probing = asyncio.create_task(_probe(instance, check, host, seen))
    ending = asyncio.create_task(engine.wait(instance))
    try:
        await asyncio.wait(
            {probing, ending}, timeout=check.timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if probing.done():
            return probing.result()
        if ending.done():
            ended = ending.result()
            before = "answered" if seen.look else "listened"
            raise RolloutFailed(
                f"{instance.spec.process} {ended} before it {before}", hint="above is what it printed last"
            )
        raise _failure(engine, instance, check, seen.look)
    finally:
        probing.cancel()
        ending.cancel()
        await asyncio.gather(probing, ending, return_exceptions=True)


async def look(instance: Instance, path: str, check: HealthCheck, host: str) -> Look:
    """One GET of `path`, which may take `check.answer_seconds`. Raises OSError if it does not listen."""
    return await _ask(*await _connect(instance, check), path, check, host)


async def _connect(
    instance: Instance, check: HealthCheck
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(check.answer_seconds):
        return await asyncio.open_connection(instance.endpoint.address, instance.endpoint.port)


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, check: HealthCheck, host: str
) -> Look:
    try:
        async with asyncio.timeout(check.answer_seconds):
            return await _converse(reader, writer, path, host, check.expect)
    except TimeoutError:
        return Look(f"gives no answer within {check.answer_seconds:g} s")
    except h11.RemoteProtocolError:
        return Look("does not speak HTTP")
    except OSError:
        return Look("breaks the connection")
    finally:
        writer.close()


@dataclass(slots=True)
class _Seen:
    """What the last look that reached it found; None: it does not listen yet."""

    look: Look | None = None


def _failure(engine: Engine, instance: Instance, check: HealthCheck, last: Look | None) -> RolloutFailed:
    process, limit = instance.spec.process, check.timeout_seconds
    if last:
        said = f"; its answer begins: {last.said}" if last.said else ""
        return RolloutFailed(
            f"{process} {last.trouble} on {check.path} after {limit:g} s{said}",
            hint="above is what it printed last",
        )
    port = instance.endpoint.port
    others = engine.listening(instance)
    where = f"it listens on {', '.join(others)}" if others else "it listens on nothing"
    return RolloutFailed(
        f"{process} did not listen on port {port} within {limit:g} s (connection refused); {where}",
        hint=_advice(port, others),
    )


def _advice(port: int, listening: Sequence[str]) -> str:
    if {f"127.0.0.1:{port}", f"[::1]:{port}"} & set(listening):
        return "listen on 0.0.0.0 instead of 127.0.0.1"
    if listening:
        return f"listen on 0.0.0.0:$PORT instead of {listening[0]}"
    return "listen on 0.0.0.0 and on the port in $PORT"


async def _probe(instance: Instance, check: HealthCheck, host: str, seen: _Seen) -> None:
    """Look until it is healthy."""
    wait = FIRST_WAIT
    while True:
        try:
            connection = await _connect(instance, check)
            seen.look = seen.look or Look("gives no answer")
            seen.look = await _ask(*connection, check.path, check, host)
            if not seen.look.trouble:
                return
        except OSError:
            pass  # it does not listen yet
        await asyncio.sleep(wait)
        wait = min(wait * 1.2, LONGEST_WAIT)


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, host: str, expect: str
) -> Look:
    """Raises h11.RemoteProtocolError for what is no HTTP."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=BODY_LIMIT)
    headers = [("Host", host), ("User-Agent", AGENT), ("Connection", "close")]
    writer.write(http.send(h11.Request(method="GET", target=path, headers=headers)) or b"")
    writer.write(http.send(h11.EndOfMessage()) or b"")
    response = await _response(reader, http)
    if response is None:
        return Look("closes the connection without an answer")
    if response.status_code < 500 and not expect:
        return Look()
    body = await _body(reader, http, BODY_LIMIT if response.status_code < 500 else 4 * EXCERPT)
    text = body.decode(errors="replace")
    if response.status_code >= 500:
        return Look(f"answers {response.status_code}", _excerpt(text))
    return Look() if expect in text else Look(f"answers without {expect!r}", _excerpt(text))


async def _response(reader: asyncio.StreamReader, http: h11.Connection) -> h11.Response | None:
    """The head of the final answer; None if the connection ended before it.

    Raises h11.RemoteProtocolError at the first bytes that begin no HTTP: more may never come.
    """
    begin = b""
    while True:
        event = http.next_event()
        if isinstance(event, h11.Response):
            return event
        if event is h11.NEED_DATA:
            data = await reader.read(65536)
            if not data and not begin:
                return None
            begin = begin or data
            if begin[:5] != b"HTTP/"[: len(begin)]:
                raise h11.RemoteProtocolError("no HTTP")
            http.receive_data(data)


async def _body(reader: asyncio.StreamReader, http: h11.Connection, limit: int) -> bytes:
    """At most `limit` bytes of what follows; what is cut off is what there is."""
    body = b""
    while len(body) < limit:
        try:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                break
        except (h11.RemoteProtocolError, OSError):
            break
    return body[:limit]


def _excerpt(text: str) -> str:
    """The text as one line without anything a terminal would obey."""
    words = " ".join(text[: 4 * EXCERPT].split())
    return "".join(character for character in words if character.isprintable())[:EXCERPT]
