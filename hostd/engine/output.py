"""What Instances print: a file each, which their processes append to whether hostd runs or not, read as it grows.

Nothing here grows without bound: a line is cut, a flood is dropped and counted (L10), a file is cut at the front.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import re
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hostd.model.log import LogLine

LINE_LIMIT = 16 * 1024  # bytes
CUT = "...(cut)"
RATE = 2 * 1024 * 1024  # bytes a second, of one Instance; what comes faster waits in the file
LINES_RATE = 5000  # lines a second
FILE_LIMIT = (
    8 * 1024 * 1024
)  # bytes read, which are then cut off, or waiting to be read, which are then dropped
TAIL = 256 * 1024  # bytes kept for `tail`
KEPT_SECONDS = 600.0  # for `tail`, after the end
_BUSY, _QUIET = 0.02, 0.1  # seconds between two looks
_SAVED = 1.0  # seconds between two notes of how far was read
_CHUNK = 64 * 1024  # bytes read of one Instance before it is another's turn
_COUNTED = 1024 * 1024  # bytes of a flood whose lines are counted; beyond that the number is estimated
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]")  # all but tab and escape (colours)
_COLLAPSE_RANGE, _BLOCK = 0x08, 4096  # fallocate(2)
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(eq=False, slots=True)
class Follower:
    """One Instance's file and how far it was read. `offset` is where the next line begins."""

    path: Path
    instance: str
    environment: str
    process: str
    offset: int = 0
    ended: bool = False
    position: int = 0  # of the next byte to read; what lies between is in `rest`
    rest: bytes = b""
    cutting: bool = False
    allowed: float = float(RATE)
    allowed_lines: float = float(LINES_RATE)
    looked: float = 0.0
    dropped_lines: int = 0
    dropped_bytes: int = 0
    reported: float = 0.0
    drained: float = 0.0  # when, if it has ended and all was read
    behind: int = 0  # bytes written and not yet read
    saved: int = -1
    descriptor: int = -1
    held: bool = False  # it is frozen
    silent: bool = False  # and all it said before was read

    def still(self) -> bool:
        """Whether nothing came and nothing is to be said: what is asked ten times a second of every Instance."""
        if self.descriptor < 0 or self.ended or self.dropped_bytes:
            return False
        if not self.silent:
            still = os.fstat(self.descriptor).st_size == self.position
            self.silent = still and self.held
            return still
        return True

    def lines(self, now: float) -> Iterator[LogLine]:
        """Lines that came since the last look. `now` in seconds of the monotonic clock."""
        if self.descriptor < 0:
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._grant(now)
        size = os.fstat(self.descriptor).st_size
        self.position = min(self.position, size)
        if size - self.position > FILE_LIMIT:
            self._drop(size)
        if self.allowed > 0 and self.allowed_lines > 0:
            data = os.pread(self.descriptor, _CHUNK, self.position)
            self.allowed -= len(data)
            self.allowed_lines -= data.count(b"\n")
            self.position += len(data)
            yield from self._split(data)
        if self.position > FILE_LIMIT:
            self._shorten()
        self.behind = os.fstat(self.descriptor).st_size - self.position
        if self.dropped_bytes and (now - self.reported > 1.0 or self.ended):
            self.reported = now
            yield self._line(f"L10 dropped={self.dropped_lines} lines ({self.dropped_bytes} bytes)", "hostd")
            self.dropped_lines = self.dropped_bytes = 0

    def last(self) -> Iterator[LogLine]:
        """What is left when nothing more can come."""
        if self.rest and not self.cutting:
            yield self._line(_text(self.rest))
        self.rest = b""
        self.offset = self.position

    def close(self) -> None:
        """Let go of the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _grant(self, now: float) -> None:
        passed, self.looked = now - self.looked, now
        self.allowed = min(float(RATE), self.allowed + passed * RATE)
        self.allowed_lines = min(float(LINES_RATE), self.allowed_lines + passed * LINES_RATE)

    def _split(self, data: bytes) -> Iterator[LogLine]:
        *whole, self.rest = (self.rest + data).split(b"\n")
        for line in whole:
            self.offset += len(line) + 1
            if not self.cutting:
                yield self._line(_text(line))
            self.cutting = False
        if len(self.rest) > LINE_LIMIT:
            if not self.cutting:
                yield self._line(_text(self.rest))
            self.cutting, self.rest, self.offset = True, b"", self.position

    def _drop(self, size: int) -> None:
        """Skip a flood, and let go of the disk it took, but for its end: that is what `tail` shows."""
        counted = os.pread(self.descriptor, _COUNTED, self.position)
        skipped = size - self.position
        self.dropped_lines += counted.count(b"\n") * skipped // max(len(counted), 1)
        self.dropped_bytes += skipped
        length = (size - TAIL) // _BLOCK * _BLOCK
        if _collapse(self.descriptor, length):
            self.position = size - length
        else:  # a file system without that call
            os.ftruncate(self.descriptor, 0)
            self.position = 0
        self.offset, self.rest, self.cutting = self.position, b"", False

    def _shorten(self) -> None:
        """Cut off what was read. Removing a range loses nothing written meanwhile, as truncating might."""
        length = (self.offset - TAIL) // _BLOCK * _BLOCK
        if length > 0 and _collapse(self.descriptor, length):
            self.position -= length
            self.offset -= length
        elif self.position == os.fstat(self.descriptor).st_size:  # a file system without that call
            os.ftruncate(self.descriptor, 0)
            self.position, self.offset = 0, 0

    def _line(self, text: str, source: str = "app") -> LogLine:
        return LogLine(time.time(), self.environment, source, self.process, self.instance, text)


class Outputs:
    """The output files of an installation, below `directory`, and their followers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._followers: dict[str, Follower] = {}
        self._saved = 0.0

    def open(self, running: set[str]) -> None:
        """Go on where an earlier hostd stopped reading; all but the `running` Instances print no more."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._directory.glob("*.json"):
            try:
                follower = _load(path)
            except (OSError, ValueError, KeyError):
                continue
            follower.ended = follower.instance not in running
            self._followers[follower.instance] = follower

    def close(self) -> None:
        """Note how far was read."""
        self._save()
        for follower in self._followers.values():
            follower.close()

    def create(self, instance: str, environment: str, process: str) -> int:
        """A descriptor to which the Instance's processes append. The caller closes it. Raises OSError."""
        path = self._path(instance)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._followers[instance] = follower = Follower(path, instance, environment, process)
        try:
            _store(follower)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def hold(self, instance: str, *, frozen: bool) -> None:
        """What is frozen prints nothing: once all was read it is not looked at until it goes on."""
        if follower := self._followers.get(instance):
            follower.held, follower.silent = frozen, False

    def end(self, instance: str) -> None:
        """Nothing more can come from this one."""
        if instance in self._followers:
            self._followers[instance].ended = True

    def forget(self, instance: str) -> None:
        """Remove an Instance's output."""
        if follower := self._followers.pop(instance, None):
            follower.close()
        self._path(instance).unlink(missing_ok=True)
        self._path(instance).with_suffix(".json").unlink(missing_ok=True)

    def tail(self, instance: str, lines: int) -> Sequence[str]:
        """The last lines, at most those in the last TAIL bytes."""
        try:
            with self._path(instance).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                data = os.pread(file.fileno(), TAIL, max(0, size - TAIL))
        except OSError:
            return []
        found = data.removesuffix(b"\n").split(b"\n") if data else []
        return [_text(line) for line in found[-lines:]] if lines > 0 else []

    async def lines(self) -> AsyncGenerator[LogLine, None]:
        """Lines of all as they come, for ever. For one reader: what it took counts as read."""
        while True:
            busy, now = False, time.monotonic()
            for follower in self._due(now):
                ended, before = follower.ended, follower.position
                for line in follower.lines(now):
                    yield line
                if follower.position != before:
                    busy = True
                    await asyncio.sleep(0)  # a busy Instance must not stop everything else in hostd
                if ended and not follower.behind:
                    for line in follower.last():
                        yield line
                    follower.drained = now
                    follower.close()
            if now - self._saved > _SAVED:
                self._saved = now
                self._save()
            await asyncio.sleep(_BUSY if busy else _QUIET)

    def _due(self, now: float) -> list[Follower]:
        """Those that have news; what ended long ago is forgotten on the way."""
        for follower in list(self._followers.values()):
            if follower.drained and now - follower.drained > KEPT_SECONDS:
                self.forget(follower.instance)
        return [each for each in self._followers.values() if not each.drained and not each.still()]

    def _save(self) -> None:
        for follower in self._followers.values():
            if follower.saved != follower.offset:
                with contextlib.suppress(OSError):  # a full disk: noted next time; reading must go on
                    _store(follower)

    def _path(self, instance: str) -> Path:
        return self._directory / f"{instance}.out"


def _text(line: bytes) -> str:
    text = line[:LINE_LIMIT].decode(errors="replace").removesuffix("\r")
    return _CONTROL.sub("\ufffd", text) + (CUT if len(line) > LINE_LIMIT else "")


def _collapse(descriptor: int, length: int) -> bool:
    result = _libc.fallocate(descriptor, _COLLAPSE_RANGE, ctypes.c_int64(0), ctypes.c_int64(length))
    return bool(result == 0)


def _store(follower: Follower) -> None:
    facts = {
        "environment": follower.environment,
        "process": follower.process,
        "offset": follower.offset,
        "instance": follower.instance,
    }
    partial = follower.path.with_suffix(".partial")
    partial.write_text(json.dumps(facts))
    partial.rename(follower.path.with_suffix(".json"))
    follower.saved = follower.offset


def _load(path: Path) -> Follower:
    facts = json.loads(path.read_text())
    offset = int(facts["offset"])
    return Follower(
        path.with_suffix(".out"),
        facts["instance"],
        facts["environment"],
        facts["process"],
        offset,
        position=offset,
    )
