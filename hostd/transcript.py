"""The lines a pusher sees while a push is worked on, kept with the Build.

Whoever shows them (git's `remote:`, an event stream) subscribes; lines said before come first.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

LINES_LIMIT = 20_000
# All but colours (ECMA-48, SGR): others make a terminal type what the pusher did not, as its title or its position.
_CONTROLS = re.compile(
    r"\x1b\[(?![0-9;:]*m)[0-?]*[ -/]*[@-~]?|\x1b(?!\[)[^\x1b]?|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]"
)


class Transcript:
    """Lines in the order they were said. Ends with `close`.

    `committed` is the commit point of the push: before it a client that hangs up cancels the work, after it not.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.lines: list[str] = []
        self.committed = False
        self.closed = False
        self.dropped = 0
        self._clock = clock
        self._news = asyncio.Event()

    def say(self, line: str) -> None:
        """One line as it is, terminal controls other than colours removed. Past LINES_LIMIT it is only counted."""
        if len(self.lines) >= LINES_LIMIT:
            self.dropped += 1
            return
        self.lines.append(_CONTROLS.sub("", line))
        self._wake()

    def step(self, text: str) -> None:
        """A heading: `-----> text`."""
        self.say(f"-----> {text}")

    def detail(self, text: str) -> None:
        """A line under a heading."""
        self.say(f"       {text}")

    def warn(self, text: str) -> None:
        """Something the pusher should know, though the push goes on."""
        self.say(f" !     {text}")

    @contextmanager
    def phase(self, text: str) -> Iterator[None]:
        """A heading, and how long what follows took."""
        self.step(text)
        start = self._clock()
        yield
        self.detail(f"done in {_duration(self._clock() - start)}")

    def commit(self) -> None:
        """The commit point: from now on hanging up does not cancel."""
        self.committed = True

    def close(self) -> None:
        """No more lines."""
        if self.dropped:
            self.lines.append(f" !     {self.dropped} more lines were dropped (limit {LINES_LIMIT})")
        self.closed = True
        self._wake()

    async def follow(self) -> AsyncIterator[str]:
        """Every line from the first, as they come, until `close`."""
        said = 0
        while True:
            news = self._news
            while said < len(self.lines):
                said += 1
                yield self.lines[said - 1]
            if self.closed:
                return
            await news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
