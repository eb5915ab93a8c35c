"""The LogBook: what Instances print and what the router served, kept in files and handed to who follows.

One line looks as on Heroku: `2026-11-25T21:00:00.123456+00:00 app[web.1]: text`. Every queue has a limit; what did
not fit is counted and said in a line of its own (L10: not written to the file, L11: not sent to a follower).
"""

import asyncio
import logging
import re
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hostd.control.platform import Router
from hostd.engine.base import Engine
from hostd.model.log import LogLine, RequestRecord

FILE_LIMIT = 10 * 1024 * 1024  # bytes; then the file is rotated
FILES_KEPT = 3
PENDING_LIMIT = 20_000  # lines of one Environment that wait to be written
FOLLOWER_LIMIT = 5_000  # lines that wait for one follower
TEXT_LIMIT = 16 * 1024  # characters of one line
LINES_LIMIT = 1_500  # most lines `recent` gives
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}m")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Follower:
    lines: deque[str] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: int = 0
    last: str = ""


class LogBook:
    """Lines by Environment label, in files below `directory` and in memory only until they are there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pending: dict[str, deque[str]] = defaultdict(deque)
        self._dropped: dict[str, int] = defaultdict(int)
        self._followers: dict[str, set[_Follower]] = defaultdict(set)
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()

    async def run(self, engine: Engine, router: Router) -> None:
        """Collect and write until cancelled; what was collected by then is written."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._collect(engine.output()))
                tasks.create_task(self._collect_requests(router.requests()))
                tasks.create_task(self._keep_writing())
        finally:
            self._write(self._take())

    def add(self, line: LogLine) -> None:
        """Keep a line and hand it to the followers. Never waits and never fails."""
        if not _LABEL.fullmatch(line.environment):
            return _log.warning("a log line of no environment: %.200r", line)
        text = formatted(line)
        if len(self._pending[line.environment]) >= PENDING_LIMIT:
            self._dropped[line.environment] += 1
        else:
            self._pending[line.environment].append(text)
        self._news.set()
        for follower in self._followers.get(line.environment, ()):
            _hand(follower, text)

    async def recent(self, environment: str, lines: int, process: str | None = None) -> Sequence[str]:
        """The last `lines` (1 to LINES_LIMIT) of an Environment, of one process type if given, oldest first."""
        async with self._writing:
            waiting = list(self._pending.get(environment, ()))
            return await asyncio.to_thread(self._last, environment, waiting, lines, process)

    async def follow(
        self, environment: str, lines: int = 0, process: str | None = None
    ) -> AsyncGenerator[str, None]:
        """The last `lines`, then every line as it comes, for ever; none twice and none left out between them."""
        follower = _Follower()
        try:
            async with (
                self._writing
            ):  # what is on disk now stays so, while what comes now goes to the follower
                waiting = list(self._pending.get(environment, ()))
                self._followers[environment].add(follower)
                past = await asyncio.to_thread(self._last, environment, waiting, lines, process)
            for line in past:
                yield line
            while True:
                while follower.lines:
                    line = follower.lines.popleft()
                    if _is_of(line, process):
                        yield line
                if follower.dropped:
                    yield _say_dropped(follower, follower.last)
                    continue
                follower.news.clear()
                await follower.news.wait()
        finally:
            self._forget(environment, follower)

    def _forget(self, environment: str, follower: _Follower) -> None:
        self._followers[environment].discard(follower)
        if not self._followers[environment]:
            del self._followers[environment]

    async def _collect(self, lines: AsyncIterator[LogLine]) -> None:
        async for line in lines:
            self.add(line)

    async def _collect_requests(self, requests: AsyncIterator[RequestRecord]) -> None:
        async for record in requests:
            if record.environment:
                self.add(request_line(record))

    async def _keep_writing(self) -> None:
        while True:
            await self._news.wait()
            async with self._writing:
                self._news.clear()
                await self._write_whole()
            await asyncio.sleep(0.05)  # gathers what comes in a burst into one write

    async def _write_whole(self) -> None:
        """Cancelled, it still writes what it took."""
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, self._take()))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing
            raise

    def _take(self) -> dict[str, list[str]]:
        taken = {environment: list(lines) for environment, lines in self._pending.items()}
        for environment, count in self._dropped.items():
            lines = taken[environment]
            lines.append(_drop_line("L10", count, PENDING_LIMIT, lines[-1]))
        self._pending.clear()
        self._dropped.clear()
        return taken

    def _write(self, taken: dict[str, list[str]]) -> None:
        for environment, lines in taken.items():
            directory = self._directory / environment
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                rotate(directory)
                with (directory / "current.log").open("ab") as file:
                    file.write("".join(f"{line}\n" for line in lines).encode())
            except OSError as error:  # a full disk must not stop the platform; the operator is told
                _log.error("%d log lines of %s are lost: %s", len(lines), environment, error)

    def _last(self, environment: str, waiting: list[str], lines: int, process: str | None) -> list[str]:
        if lines <= 0 or not _LABEL.fullmatch(environment):
            return []
        found = [line for line in waiting if _is_of(line, process)][-lines:]
        for path in kept_files(self._directory / environment):
            if len(found) >= lines:
                break
            found = last_lines(path, lines - len(found), process) + found
        return found


def formatted(line: LogLine) -> str:
    """`line` as it is kept: one line, terminal controls other than colours shown as escapes."""
    at = datetime.fromtimestamp(line.at, UTC).isoformat(timespec="microseconds")
    where = line.process
    if line.instance:
        where += "." + line.instance.rpartition("-")[2]  # the part of the id that tells one from another
    source = line.source if line.source == where else f"{line.source}[{where}]"
    return f"{at} {source}: {_clean(line.text)}"


def request_line(record: RequestRecord) -> LogLine:
    """A request as a line of its Environment, in the words of Heroku's router."""
    level = "error" if record.code else "info"
    code = f"code={record.code} " if record.code else ""
    text = (
        f"at={level} {code}method={record.method} path={_quoted(record.path)} host={record.host} "
        f"request_id={record.request_id} release={record.release} endpoint={record.endpoint} "
        f"service={record.seconds * 1000:.0f}ms status={record.status} bytes={record.sent}"
    )
    return LogLine(record.at, record.environment, "router", "router", "", text)


def rotate(directory: Path) -> None:
    """current.log -> 1.log -> 2.log -> ..., once it is FILE_LIMIT long. Raises OSError."""
    current = directory / "current.log"
    if not current.exists() or current.stat().st_size < FILE_LIMIT:
        return
    for number in range(FILES_KEPT - 1, 0, -1):
        older = directory / f"{number}.log"
        if older.exists():
            older.rename(directory / f"{number + 1}.log")
    current.rename(directory / "1.log")


def kept_files(directory: Path) -> list[Path]:
    """The files of one Environment that exist, newest first."""
    names = ["current.log", *(f"{number}.log" for number in range(1, FILES_KEPT + 1))]
    return [path for path in (directory / name for name in names) if path.exists()]


def last_lines(path: Path, count: int, process: str | None) -> list[str]:
    """The last `count` lines of `process` in a file of at most FILE_LIMIT, oldest first; reads only what it needs."""
    found: list[str] = []
    with path.open("rb") as file:
        position, rest = file.seek(0, 2), b""
        while position > 0 and len(found) < count:
            size = min(position, 256 * 1024)
            position -= size
            file.seek(position)
            rest, *whole = (file.read(size) + rest).split(b"\n")
            if position == 0:
                whole = [rest, *whole]
            lines = [line.decode(errors="replace") for line in whole if line]
            found = [line for line in lines if _is_of(line, process)] + found
    return found[-count:]


def _is_of(line: str, process: str | None) -> bool:
    if process is None:
        return True
    source = line.split(" ", 2)[1].rstrip(":") if line.count(" ") >= 2 else ""
    where = source.partition("[")[2].rstrip("]")
    return process in (source, where) or where.startswith(f"{process}.")


def _hand(follower: _Follower, text: str) -> None:
    follower.last = text
    if len(follower.lines) >= FOLLOWER_LIMIT:
        follower.dropped += 1
        return
    if follower.dropped:
        follower.lines.append(_say_dropped(follower, text))
    follower.lines.append(text)
    follower.news.set()


def _say_dropped(follower: _Follower, near: str) -> str:
    count, follower.dropped = follower.dropped, 0
    return _drop_line("L11", count, FOLLOWER_LIMIT, near)


def _drop_line(code: str, count: int, limit: int, near: str) -> str:
    return f"{near.partition(' ')[0]} hostd[logs]: {code} dropped={count} lines (limit {limit})"


def _clean(text: str) -> str:
    if len(text) > TEXT_LIMIT:
        text = text[:TEXT_LIMIT] + "...(cut)"
    if not _CONTROL.search(text):
        return text
    pieces, start = [], 0
    for colour in _COLOUR.finditer(text):
        pieces += [_escaped(text[start : colour.start()]), colour.group()]
        start = colour.end()
    return "".join([*pieces, _escaped(text[start:])])


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
