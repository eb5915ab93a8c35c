"""Whether a web Instance answers: first its port, then HTTP."""

import asyncio
from dataclasses import dataclass

from hostd.engine.base import Engine
from hostd.errors import RolloutFailed
from hostd.model.instance import Instance

PROBE_LIMIT = 3.0  # seconds for one answer
FIRST_WAIT, LONGEST_WAIT = 0.002, 0.02  # seconds between looks


async def wait_until_healthy(
    engine: Engine,
    instance: Instance,
    path: str = "/",
    timeout: float = 60.0,  # noqa: ASYNC109 (the message names it)
    host: str = "localhost",
) -> None:
    """Until a GET of `path` is answered with a status below 500. Raises RolloutFailed saying what happened instead.

    `timeout` in seconds covers all of it; `host` is the Host header. It ends at once when the Instance does.
    """
    seen = _Seen()
    probing = asyncio.create_task(_probe(instance, path, host, seen))
    ending = asyncio.create_task(engine.wait(instance))
    try:
        await asyncio.wait({probing, ending}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if probing.done():
            return probing.result()
        if ending.done():
            ended = ending.result()
            before = "answered" if seen.trouble else "listened"
            raise RolloutFailed(
                f"{instance.spec.process} {ended} before it {before}", hint="above is what it printed last"
            )
        raise _failure(engine, instance, path, timeout, seen.trouble)
    finally:
        probing.cancel()
        ending.cancel()
        await asyncio.gather(probing, ending, return_exceptions=True)


@dataclass(slots=True)
class _Seen:
    """What the last look saw: nothing yet, or what is wrong with the answers."""

    trouble: str = ""


def _failure(engine: Engine, instance: Instance, path: str, limit: float, trouble: str) -> RolloutFailed:
    process = instance.spec.process
    if trouble:
        return RolloutFailed(
            f"{process} {trouble} on {path} after {limit:g} s", hint="above is what it printed last"
        )
    port = instance.endpoint.port
    others = engine.listening(instance)
    where = f"it listens on {', '.join(others)}" if others else "it listens on nothing"
    return RolloutFailed(
        f"{process} did not listen on port {port} within {limit:g} s; {where}",
        hint="listen on 0.0.0.0 and on the port in $PORT",
    )


async def _probe(instance: Instance, path: str, host: str, seen: _Seen) -> None:
    """Look until it is healthy."""
    wait = FIRST_WAIT
    while True:
        try:
            seen.trouble = await _look(instance, path, host)
            if not seen.trouble:
                return
        except OSError:
            pass  # it does not listen yet
        await asyncio.sleep(wait)
        wait = min(wait * 1.2, LONGEST_WAIT)


async def _look(instance: Instance, path: str, host: str) -> str:
    """One GET: "" for a status below 500, else what is wrong. Raises OSError if it does not listen."""
    reader, writer = await asyncio.open_connection(instance.endpoint.address, instance.endpoint.port)
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: hostd-health\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(PROBE_LIMIT):
            writer.write(request.encode())
            status = (await reader.readline()).split(b" ")
    except TimeoutError:
        return f"gives no answer within {PROBE_LIMIT:g} s"
    except (OSError, ValueError):
        return "breaks the connection"
    finally:
        writer.close()
    if status == [b""]:
        return "closes the connection without an answer"
    if len(status) < 2 or not status[0].startswith(b"HTTP/") or not status[1].isdigit():
        return "does not speak HTTP"
    return "" if int(status[1]) < 500 else f"answers {int(status[1])}"
