"""Changes under load: every request is answered, by the release before or the one after.

200 requests a second over kept-alive connections, 20 a second over new ones, 50 WebSockets and 5 event streams, while
the app is pushed, its config changed and its web process scaled, 50 times each (DEPLOYS, CONFIGS and SCALES give other
numbers). A WebSocket may be closed by the app as it goes (1001, 1012), never just cut off.
"""

import asyncio
import contextlib
import json
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import websockets

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.e2e.server import Project, serving

DEPLOYS, CONFIGS, SCALES = (int(os.environ.get(name, "50")) for name in ("DEPLOYS", "CONFIGS", "SCALES"))
KEPT_ALIVE, EACH = 10, 20  # connections, and requests a second on each
NEW = 20  # connections a second
SOCKETS, STREAMS = 50, 5
BEAT = 1.0  # seconds between the messages of a WebSocket
QUANTITIES = (3, 1, 2)  # of web, in turn
SETTLE, PAUSE = 0.2, 0.8  # seconds in which the release before may answer yet, and then until the next change


@dataclass
class Seen:
    """What came back. `live` are the answers there may be now."""

    live: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    changes: dict[str, list[float]] = field(default_factory=dict)
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
        seen, ending = Seen({"0."}), asyncio.Event()
        work = [_kept_alive(project, seen, ending) for _ in range(KEPT_ALIVE)]
        work += [_socket(project, seen, ending) for _ in range(SOCKETS)]
        work += [_events(project, seen, ending) for _ in range(STREAMS)]
        work.append(_new(project, seen, ending))
        tasks = [asyncio.create_task(each) for each in work]
        started = time.monotonic()
        for kind, answer, change in changes(project):
            await _make(seen, kind, answer, change)
        took = time.monotonic() - started
        ending.set()
        await asyncio.wait(tasks, timeout=10)
        for task in tasks:
            task.cancel()
    report(seen, took)


def changes(project: Project) -> Iterator[tuple[str, str, Callable[[], None]]]:
    """What is done, one after the other: its kind, what the app answers afterwards, and how it is done."""
    for number in range(1, DEPLOYS + 1):
        yield "deploys", f"{number}.", partial(_deploy, project, number)
    for number in range(1, CONFIGS + 1):
        yield "config changes", f"{DEPLOYS}.{number}", partial(_work, project, "config", TURN=str(number))
    last = f"{DEPLOYS}.{CONFIGS or ''}"
    for number in range(SCALES):
        quantity = QUANTITIES[number % len(QUANTITIES)]
        yield "scale changes", last, partial(_work, project, "formation", web=quantity)


async def _make(seen: Seen, kind: str, answer: str, change: Callable[[], None]) -> None:
    started = time.monotonic()
    seen.live.add(answer)
    await asyncio.to_thread(change)
    seen.changes.setdefault(kind, []).append(time.monotonic() - started)
    await asyncio.sleep(SETTLE)
    seen.live = {answer}
    await asyncio.sleep(PAUSE)


def _deploy(project: Project, number: int) -> None:
    project.write({"app.py": _app(number)}).commit()
    project.push()


def _work(project: Project, what: str, **wanted: object) -> None:
    answer = project.server.api("PATCH", f"/apps/{project.name}/{what}", json=wanted)
    end = json.loads(answer.text.strip().splitlines()[-1])
    assert "result" in end, end


def report(seen: Seen, took: float) -> None:
    """Print the result; exit status 1 if a request failed."""
    total = sum(seen.answers.values())
    done = ", ".join(
        f"{len(times)} {kind} (p50 {statistics.median(times):.2f} s)" for kind, times in seen.changes.items()
    )
    print(f"{done} in {took:.0f} s; {total} requests ({total / took:.0f}/s), {seen.echoes} echoes over")
    print(f"{SOCKETS} WebSockets, {seen.events} events; {len(seen.failures)} failed (goal 0)")
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
                    await asyncio.sleep(BEAT)
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
import os
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute


async def index(request):
    return PlainTextResponse("{number}." + os.environ.get("TURN", ""))


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
