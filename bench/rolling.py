"""Rolling deploys under load: every request is answered, by the release before or the one after.

200 requests a second over kept-alive connections, 20 a second over new ones, a WebSocket and an event stream, while
the app is pushed again and again. A WebSocket may be closed by the app as it goes (1001, 1012), never just cut off.
"""

import asyncio
import contextlib
import os
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import websockets

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.e2e.server import Project, serving

DEPLOYS = int(os.environ.get("DEPLOYS", "20"))
KEPT_ALIVE, EACH = 10, 20  # connections, and requests a second on each
NEW = 20  # connections a second


@dataclass
class Seen:
    """What came back. `live` are the release numbers that may answer now."""

    live: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    events: int = 0
    echoes: int = 0

    def take(self, what: str, status: int, body: str, seconds: float) -> None:
        """Note one answer."""
        self.answers[body] += 1
        self.times.append(seconds)
        if status != 200 or body not in self.live:
            self.failures.append(f"{what}: {status} {body[:80]!r}, live {sorted(self.live)}")


async def main() -> None:
    """Run it and print what was seen."""
    with serving() as server:
        project = server.create("rolling")
        project.write({"requirements.txt": "starlette==0.41.3\nuvicorn[standard]==0.32.1\n"})
        project.write({"Procfile": "web: uvicorn app:app --host 0.0.0.0 --port $PORT\n", "app.py": _app(0)})
        project.commit()
        await asyncio.to_thread(project.push)
        seen, ending = Seen({"0"}), asyncio.Event()
        work = [_kept_alive(project, seen, ending) for _ in range(KEPT_ALIVE)]
        work += [_new(project, seen, ending), _socket(project, seen, ending), _events(project, seen, ending)]
        tasks = [asyncio.create_task(each) for each in work]
        started = time.monotonic()
        for number in range(1, DEPLOYS + 1):
            project.write({"app.py": _app(number)}).commit()
            seen.live = {str(number - 1), str(number)}
            await asyncio.to_thread(project.push)
            await asyncio.sleep(0.2)
            seen.live = {str(number)}
            await asyncio.sleep(0.8)
        took = time.monotonic() - started
        ending.set()
        await asyncio.wait(tasks, timeout=10)
        for task in tasks:
            task.cancel()
    report(seen, took)


def report(seen: Seen, took: float) -> None:
    """Print the result; exit status 1 if a request failed."""
    total = sum(seen.answers.values())
    print(
        f"{DEPLOYS} deploys in {took:.0f} s; {total} requests ({total / took:.0f}/s), {seen.echoes} echoes over a"
    )
    print(f"WebSocket, {seen.events} events; {len(seen.failures)} failed (goal 0)")
    quantiles = statistics.quantiles(seen.times, n=100)
    print(f"answered in p50 {quantiles[49] * 1000:.1f} ms, p99 {quantiles[98] * 1000:.1f} ms")
    for failure in seen.failures[:10]:
        print("  " + failure)
    sys.exit(1 if seen.failures else 0)


async def _kept_alive(project: Project, seen: Seen, ending: asyncio.Event) -> None:
    reader = writer = None
    while not ending.is_set():
        start = time.perf_counter()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", project.server.http_port)
            assert reader
            seen.take(
                "kept alive", *await _ask(project, reader, writer, "keep-alive"), time.perf_counter() - start
            )
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            seen.failures.append(f"kept alive: {error!r}")
            writer = None
        await asyncio.sleep(max(0, 1 / EACH - (time.perf_counter() - start)))


async def _new(project: Project, seen: Seen, ending: asyncio.Event) -> None:
    while not ending.is_set():
        start = time.perf_counter()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", project.server.http_port)
            seen.take("new", *await _ask(project, reader, writer, "close"), time.perf_counter() - start)
            writer.close()
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            seen.failures.append(f"new: {error!r}")
        await asyncio.sleep(max(0, 1 / NEW - (time.perf_counter() - start)))


async def _ask(
    project: Project, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: str
) -> tuple[int, str]:
    writer.write(
        f"GET / HTTP/1.1\r\nHost: {project.name}.localhost\r\nConnection: {connection}\r\n\r\n".encode()
    )
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(
        int(line.split(":")[1]) for line in head.lower().split("\r\n") if line.startswith("content-length")
    )
    return int(head.split(" ")[1]), (await reader.readexactly(length)).decode()


async def _socket(project: Project, seen: Seen, ending: asyncio.Event) -> None:
    port = project.server.http_port
    url = f"ws://{project.name}.localhost:{port}/ws"
    while not ending.is_set():
        try:
            async with websockets.connect(url, host="127.0.0.1", port=port) as socket:
                while not ending.is_set():
                    await socket.send("hello")
                    await asyncio.wait_for(socket.recv(), 5)
                    seen.echoes += 1
                    await asyncio.sleep(0.1)
        except websockets.ConnectionClosed as error:
            if error.rcvd is None or error.rcvd.code not in (1001, 1012):
                seen.failures.append(f"WebSocket: {error!r}")
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            seen.failures.append(f"WebSocket: {error!r:.300}")
            await asyncio.sleep(0.2)


async def _events(project: Project, seen: Seen, ending: asyncio.Event) -> None:
    """An event stream ends as the app goes; a browser connects again, and so do we."""
    while not ending.is_set():
        reader, writer = await asyncio.open_connection("127.0.0.1", project.server.http_port)
        writer.write(f"GET /events HTTP/1.1\r\nHost: {project.name}.localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            seen.failures.append(f"events: {head[:80]!r}")
        with contextlib.suppress(TimeoutError, OSError):
            while not ending.is_set() and (line := await asyncio.wait_for(reader.readline(), 5)):
                seen.events += line.startswith(b"data:")
        writer.close()


def _app(number: int) -> str:
    return f"""import asyncio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute


async def index(request):
    return PlainTextResponse("{number}")


async def events(request):
    async def each():
        while True:
            yield "data: {number}\\n\\n"
            await asyncio.sleep(0.1)
    return StreamingResponse(each(), media_type="text/event-stream")


async def socket(websocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


app = Starlette(routes=[Route("/", index), Route("/events", events), WebSocketRoute("/ws", socket)])
"""


if __name__ == "__main__":
    asyncio.run(main())
