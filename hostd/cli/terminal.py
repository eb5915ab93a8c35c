"""This side of `hostd run`: what is typed goes to the server, what comes back is shown, byte for byte.

A thread types; it waits for stdin and for news of the window's size at once. Both sides wait for each other, so
neither a slow reader nor an endless input fills any memory.
"""

import json
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from hostd.cli.api import error_of
from hostd.errors import Unavailable

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

SILENCE = 60.0  # seconds; the server gives a sign of life every 10 s
_CHUNK = 32 * 1024  # bytes


def size() -> Mapping[str, int]:
    """Columns and rows of the terminal here."""
    columns, rows = os.get_terminal_size(sys.stdout.fileno())  # of now; COLUMNS may be of an hour ago
    return {"columns": columns or 80, "rows": rows or 24}


def sit(socket: "ClientConnection", raw: bool) -> Mapping[str, Any]:
    """Pass everything on until the Run has ended; how it did. `raw`: each key at once, Ctrl-C too."""
    with _raw() if raw else nullcontext(), _typing(socket, resizes=raw):
        while True:
            try:
                message = socket.recv(timeout=SILENCE)
            except TimeoutError as error:
                raise Unavailable("the server is silent", hint="see what became of it: hostd runs") from error
            if isinstance(message, bytes):
                _show(message)
                continue
            told = json.loads(message)
            if "error" in told:
                raise error_of(told["error"])
            if "ended" in told:
                ended: Mapping[str, Any] = told["ended"]
                return ended


def _show(message: bytes) -> None:
    descriptor, left = message[0], memoryview(message)[1:]
    while left:
        left = left[os.write(descriptor, left) :]


@contextmanager
def _typing(socket: "ClientConnection", resizes: bool) -> Iterator[None]:
    resized, notice = os.pipe()
    before = signal.signal(signal.SIGWINCH, lambda *_: os.write(notice, b"w")) if resizes else None
    # a daemon: nothing can be done about a read of stdin that is under way when the Run ends
    threading.Thread(target=_type, args=(socket, resized), daemon=True).start()
    try:
        yield
    finally:
        if resizes:
            signal.signal(signal.SIGWINCH, before)


def _type(socket: "ClientConnection", resized: int) -> None:
    from websockets.exceptions import ConnectionClosed

    watched = [sys.stdin.fileno(), resized]
    with suppress(ConnectionClosed, OSError):
        while True:
            ready, _, _ = select.select(watched, [], [])
            if resized in ready:
                os.read(resized, _CHUNK)
                socket.send(json.dumps({"size": size()}))
            if sys.stdin.fileno() in ready:
                data = os.read(sys.stdin.fileno(), _CHUNK)
                socket.send(data or json.dumps({"end": True}))
                if not data:
                    watched.remove(sys.stdin.fileno())


@contextmanager
def _raw() -> Iterator[None]:
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
