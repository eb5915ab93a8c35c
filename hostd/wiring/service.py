"""What a service manager is told by hostd: that it is ready, and again and again that it is not stuck.

The protocol is that of sd_notify(3): datagrams to the socket named by NOTIFY_SOCKET, a beat at least every
WATCHDOG_USEC microseconds. Without those variables nobody asks, and nothing is sent.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


def tell(state: str) -> None:
    """Send `state`, as "READY=1". A manager that does not listen is not waited for."""
    address = os.environ.get("NOTIFY_SOCKET", "")  # noqa: TID251 (no setting of hostd's)
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender, suppress(OSError):
        sender.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


@asynccontextmanager
async def beating() -> AsyncIterator[None]:
    """Say within, again and again, that the event loop turns; whoever watches restarts a hostd that does not."""
    task = asyncio.create_task(_beat())
    try:
        yield
    finally:
        task.cancel()


async def _beat() -> None:
    interval = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 / 3  # noqa: TID251 (as above; two may come late)
    while interval:
        tell("WATCHDOG=1")
        await asyncio.sleep(interval)
