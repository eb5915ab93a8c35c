"""The LogBook: what is kept, in which words, and that nothing is lost in silence."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from hostd.control import logs
from hostd.control.logs import (
    FILE_LIMIT,
    FOLLOWER_LIMIT,
    PENDING_LIMIT,
    LogBook,
    formatted,
    last_lines,
    request_line,
)
from hostd.model.log import LogLine, RequestRecord
from tests.eventually import until
from tests.fakes import FakeEngine
from tests.fakes_control import FakeRouter

LABEL = "shop-production"
STAMP = "1970-01-01T00:00:00.000000+00:00"


def line(text: str, process: str = "web", number: int = 1) -> LogLine:
    """A line an Instance printed."""
    return LogLine(0, LABEL, "app", process, f"{LABEL}-{process}-v1-ab12-{number}", text)


def texts(lines: object) -> list[str]:
    """What comes after the time and the source."""
    assert isinstance(lines, list)
    return [item.split(": ", 1)[1] for item in lines]


def kept(directory: Path) -> list[str]:
    """What is in the file now."""
    file = directory / LABEL / "current.log"
    return file.read_text().splitlines() if file.exists() else []


@asynccontextmanager
async def running(book: LogBook, engine: FakeEngine, router: FakeRouter) -> AsyncIterator[None]:
    """The LogBook at work."""
    task = asyncio.create_task(book.run(engine, router))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (line("hello"), f"{STAMP} app[web.1]: hello"),
        (line("hello", "worker", 3), f"{STAMP} app[worker.3]: hello"),
        (LogLine(0.5, LABEL, "hostd", "web", "", "up"), "1970-01-01T00:00:00.500000+00:00 hostd[web]: up"),
        (LogLine(0, LABEL, "router", "router", "", "at=info"), f"{STAMP} router: at=info"),
        (line("a\x00b\nc\x1b[2Jd\u202ee\u2028"), f"{STAMP} app[web.1]: a\\x00b\\nc\\x1b[2Jd\\u202ee\\u2028"),
        (
            line("\x1b[31mred\x1b[0m\tand \u00e9 \U0001f600"),
            f"{STAMP} app[web.1]: \x1b[31mred\x1b[0m\tand \u00e9 \U0001f600",
        ),
        (line("\ud800"), f"{STAMP} app[web.1]: \\ud800"),
        (line("x" * 20_000), f"{STAMP} app[web.1]: {'x' * 16_384}...(cut)"),
    ],
)
def test_a_line_is_one_line_and_cannot_steer_a_terminal(given: LogLine, shown: str) -> None:
    assert formatted(given) == shown


def test_a_request_reads_as_on_heroku() -> None:
    record = RequestRecord(
        at=0,
        host="shop.localhost",
        app="shop",
        environment=LABEL,
        release="v3",
        method="GET",
        path='/a"b\n',
        status=504,
        sent=12,
        seconds=30.0012,
        endpoint="10.0.0.2:8080",
        code="H12",
        request_id="abc",
    )
    assert formatted(request_line(record)) == (
        f'{STAMP} router: at=error code=H12 method=GET path="/a\\"b\\n" host=shop.localhost request_id=abc '
        "release=v3 endpoint=10.0.0.2:8080 service=30001ms status=504 bytes=12"
    )


async def test_what_instances_print_and_the_router_serves_is_kept(tmp_path: Path) -> None:
    engine, router, book = FakeEngine(), FakeRouter(), LogBook(tmp_path)
    async with running(book, engine, router):
        engine.machine.lines.put_nowait(line("hello"))
        for label in (LABEL, "topic--shop", ""):
            router.served.put_nowait(
                RequestRecord(0, "x", "shop", label, "v1", "GET", "/", 200, 1, 0.1, "", "", "")
            )
        await until(lambda: len(kept(tmp_path)) == 2 and (tmp_path / "topic--shop/current.log").exists())
    assert [path.name for path in logs.kept_files(tmp_path / LABEL)] == ["current.log"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [LABEL, "topic--shop"]
    assert texts(await LogBook(tmp_path).recent(LABEL, 10, "web")) == ["hello"]
    assert len(await LogBook(tmp_path).recent(LABEL, 10, "router")) == 1


async def test_a_follower_gets_what_was_and_what_comes_each_once(tmp_path: Path) -> None:
    book = LogBook(tmp_path)
    async with running(book, FakeEngine(), FakeRouter()):
        book.add(line("0"))
        got: list[str] = []
        async with asyncio.timeout(10), aclosing(book.follow(LABEL, 5000)) as lines:

            async def print_more() -> None:
                for number in range(1, 2000):
                    book.add(line(str(number)))
                    if number % 50 == 0:
                        await asyncio.sleep(0)

            printing = asyncio.create_task(print_more())
            async for item in lines:
                got.append(item)
                if len(got) == 2000:
                    break
            await printing
    assert texts(got) == [str(number) for number in range(2000)]


async def test_a_follower_of_one_process_does_not_get_the_others(tmp_path: Path) -> None:
    book = LogBook(tmp_path)
    async with asyncio.timeout(5), aclosing(book.follow(LABEL, 10, "worker")) as lines:
        book.add(line("before", "worker"))
        first = asyncio.create_task(anext(lines))
        await asyncio.sleep(0)
        book.add(line("not this"))
        assert texts([await first]) == ["before"]
        book.add(line("this", "worker"))
        assert texts([await anext(lines)]) == ["this"]


async def test_lines_a_slow_follower_missed_are_counted(tmp_path: Path) -> None:
    book = LogBook(tmp_path)
    async with asyncio.timeout(10), aclosing(book.follow(LABEL)) as lines:
        first = asyncio.create_task(anext(lines))
        await until(lambda: LABEL in book._followers)
        for number in range(FOLLOWER_LIMIT + 7):
            book.add(line(str(number)))
        got = [await first] + [await anext(lines) for _ in range(FOLLOWER_LIMIT)]
    assert texts(got)[:2] == ["0", "1"]
    assert got[-1] == f"{STAMP} hostd[logs]: L11 dropped=7 lines (limit {FOLLOWER_LIMIT})"


async def test_lines_that_cannot_be_written_in_time_are_counted(tmp_path: Path) -> None:
    book = LogBook(tmp_path)
    for number in range(PENDING_LIMIT + 3):
        book.add(line(str(number)))
    async with running(book, FakeEngine(), FakeRouter()):
        await until((tmp_path / LABEL / "current.log").exists)
    written = kept(tmp_path)
    assert written[-1] == f"{STAMP} hostd[logs]: L10 dropped=3 lines (limit {PENDING_LIMIT})"
    assert texts(written[:-1]) == [str(number) for number in range(PENDING_LIMIT)]


async def test_what_was_collected_is_written_when_hostd_stops(tmp_path: Path) -> None:
    book = LogBook(tmp_path)
    async with running(book, FakeEngine(), FakeRouter()):
        await asyncio.sleep(0)
        book.add(line("last words"))
    assert texts(await LogBook(tmp_path).recent(LABEL, 10)) == ["last words"]


async def test_a_label_that_is_none_never_becomes_a_path(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = LogBook(tmp_path / "logs")
    for label in ("../x", "a/b", "", "-a", "a" * 101):
        book.add(LogLine(0, label, "app", "web", "", "text"))
        assert await book.recent(label, 10) == []
    async with running(book, FakeEngine(), FakeRouter()):
        await asyncio.sleep(0)
    assert not (tmp_path / "logs").exists()
    assert len(caplog.records) == 5


async def test_a_full_file_is_rotated_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    directory = tmp_path / LABEL
    directory.mkdir()
    for name, text in (("1", "newer"), ("2", "older"), ("3", "oldest")):
        (directory / f"{name}.log").write_text(f"{STAMP} app[web.1]: {text}\n")
    with (directory / "current.log").open("wb") as file:
        file.truncate(FILE_LIMIT)
    logs.rotate(directory)
    assert sorted(path.name for path in directory.iterdir()) == ["1.log", "2.log", "3.log"]
    assert (directory / "1.log").stat().st_size == FILE_LIMIT
    assert "older" in (directory / "3.log").read_text()
    (directory / "1.log").write_text(f"{STAMP} app[web.1]: now\n")
    assert texts(await LogBook(tmp_path).recent(LABEL, 2)) == ["newer", "now"]


def test_the_last_lines_are_found_across_the_pieces_a_file_is_read_in(tmp_path: Path) -> None:
    path = tmp_path / "current.log"
    path.write_text("".join(f"{STAMP} app[web.1]: {number} {'x' * 1000}\n" for number in range(1000)))
    found = last_lines(path, 700, None)
    assert [int(item.split(" ")[2]) for item in found] == list(range(300, 1000))
    assert len(last_lines(path, 5000, None)) == 1000
    assert last_lines(path, 5, "worker") == []


async def test_a_disk_that_cannot_be_written_is_told_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / LABEL).write_text("a file where the directory should be")
    book = LogBook(tmp_path)
    async with running(book, FakeEngine(), FakeRouter()):
        book.add(line("lost"))
        await until(lambda: "1 log lines of shop-production are lost" in caplog.text)
        book.add(LogLine(0, "other-production", "app", "web", "", "kept"))
        await until((tmp_path / "other-production" / "current.log").exists)
