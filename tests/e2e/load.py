"""Many requests at once, for as long as a test wants them."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from tests.e2e.server import Project


@contextlib.contextmanager
def load(project: Project, at_once: int, pause: float = 0.0) -> Iterator[Counter[str]]:
    """`at_once` clients ask for / again and again, each on a new connection after `pause` seconds, until the end of
    the block; then those that are under way are waited for. Counts `STATUS BODY`, or what went wrong."""
    answers, over = Counter[str](), threading.Event()

    async def client() -> None:
        while not over.is_set():
            answers[await _ask(project)] += 1
            await asyncio.sleep(pause)

    async def clients() -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(client())

    thread = threading.Thread(target=lambda: asyncio.run(clients()))
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


async def _ask(project: Project) -> str:
    host = f"{project.name}.localhost:{project.server.http_port}"
    try:
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", project.server.http_port)
            writer.write(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            head, _, body = (await reader.read(-1)).decode().partition("\r\n\r\n")
            writer.close()
    except (OSError, TimeoutError) as error:
        return repr(error)
    return f"{head.split(' ')[1]} {body[:40]}" if head else "nothing"
