"""Reading what Instances print: in order, each line once, nothing without a bound."""

import asyncio
import os
import re
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from hostd.engine import output
from hostd.engine.output import Outputs
from hostd.model.log import LogLine


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    made = Outputs(tmp_path)
    made.open(set())
    return made


def printer(outputs: Outputs, instance: str = "web.1") -> Callable[[bytes], int]:
    """Appends as an Instance does."""
    descriptor = outputs.create(instance, "shop-production", "web")
    return lambda data: os.write(descriptor, data)


async def take(outputs: Outputs, count: int) -> list[LogLine]:
    found: list[LogLine] = []
    async with asyncio.timeout(10), aclosing(outputs.lines()) as lines:
        async for line in lines:
            found.append(line)
            if len(found) == count:
                break
    return found


async def texts(outputs: Outputs, count: int) -> list[str]:
    return [line.text for line in await take(outputs, count)]


async def test_lines_come_in_order_and_whole(outputs: Outputs) -> None:
    say = printer(outputs)
    say(b"one\ntw")
    assert await texts(outputs, 1) == ["one"]
    say(b"o\r\n\nfour\n")
    assert await texts(outputs, 3) == ["two", "", "four"]


async def test_a_line_of_a_running_instance_is_seen_within_moments(outputs: Outputs) -> None:
    say = printer(outputs)
    reading = asyncio.create_task(take(outputs, 1))
    await asyncio.sleep(0.05)
    said = time.time()
    say(b"now\n")
    (line,) = await reading
    assert line.at - said < 0.5


async def test_a_last_line_without_an_end_is_given_when_nothing_more_can_come(outputs: Outputs) -> None:
    say = printer(outputs)
    say(b"one\ndying wor")
    outputs.end("web.1")
    assert await texts(outputs, 2) == ["one", "dying wor"]


async def test_bytes_that_are_no_text_and_controls_are_made_harmless(outputs: Outputs) -> None:
    say = printer(outputs)
    say(b"a\0b\x07c\xff\tok \x1b[31mred\x1b[0m\n")
    assert await texts(outputs, 1) == ["a\ufffdb\ufffdc\ufffd\tok \x1b[31mred\x1b[0m"]


async def test_a_line_that_is_too_long_is_cut_once(outputs: Outputs) -> None:
    say = printer(outputs)
    say(b"x" * 200_000 + b"\nnext\n")
    first, second = await texts(outputs, 2)
    assert first == "x" * output.LINE_LIMIT + "...(cut)"
    assert second == "next"


async def test_a_line_that_never_ends_takes_no_memory(outputs: Outputs) -> None:
    say = printer(outputs)
    for _ in range(20):
        say(b"y" * 65_536)
    outputs.end("web.1")
    say(b"\nnext\n")
    first, second = await texts(outputs, 2)
    assert len(first) == output.LINE_LIMIT + len("...(cut)")
    assert second == "next"


async def test_a_flood_is_dropped_and_the_number_of_lines_said(outputs: Outputs, tmp_path: Path) -> None:
    say = printer(outputs)
    say(b"z" * 99 + b"\n")
    for _ in range(90):
        say((b"z" * 99 + b"\n") * 1000)
    (line,) = [each for each in await take(outputs, 1) if each.source == "hostd"]
    found = re.fullmatch(r"L10 dropped=(\d+) lines \(9000100 bytes\)", line.text)
    assert found
    assert abs(int(found[1]) - 90_001) < 50  # estimated from a part of it
    assert (tmp_path / "web.1.out").stat().st_size < output.TAIL + 8192


async def test_a_long_log_is_cut_at_the_front_and_loses_nothing(outputs: Outputs, tmp_path: Path) -> None:
    say = printer(outputs)
    text = b"w" * 8191 + b"\n"
    count = output.FILE_LIMIT // len(text) + 200
    said = 0
    found: list[LogLine] = []
    async with asyncio.timeout(60), aclosing(outputs.lines()) as lines:
        say(b"0\n")
        async for line in lines:
            found.append(line)
            if said < count and line.text.isdigit():
                for _ in range(10):
                    say(text)
                said += 10
                say(b"%d\n" % said)
            elif line.text == str(said):
                break
    assert [int(line.text) for line in found if line.text.isdigit()] == list(range(0, said + 1, 10))
    assert (tmp_path / "web.1.out").stat().st_size < output.FILE_LIMIT
    assert outputs.tail("web.1", 1) == [str(said)]


async def test_a_restart_goes_on_where_the_last_one_stopped(outputs: Outputs, tmp_path: Path) -> None:
    say = printer(outputs)
    say(b"one\ntwo\nthr")
    assert await texts(outputs, 2) == ["one", "two"]
    outputs.close()
    following = Outputs(tmp_path)
    following.open({"web.1"})
    say(b"ee\n")
    assert await texts(following, 1) == ["three"]


async def test_several_instances_are_told_apart(outputs: Outputs) -> None:
    first, second = printer(outputs, "web.1"), printer(outputs, "web.2")
    first(b"a\n")
    second(b"b\n")
    assert {(line.instance, line.text) for line in await take(outputs, 2)} == {("web.1", "a"), ("web.2", "b")}


def test_the_tail_is_what_came_last(outputs: Outputs) -> None:
    say = printer(outputs)
    assert outputs.tail("web.1", 3) == []
    say(b"one\ntwo\nthree")
    assert outputs.tail("web.1", 2) == ["two", "three"]
    assert outputs.tail("web.1", 0) == []
    assert outputs.tail("web.9", 3) == []


def test_what_is_forgotten_is_gone(outputs: Outputs, tmp_path: Path) -> None:
    printer(outputs)(b"one\n")
    outputs.forget("web.1")
    assert list(tmp_path.iterdir()) == []


def test_half_a_note_of_what_was_read_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "web.1.json").write_text('{"environment": ')
    Outputs(tmp_path).open(set())


async def test_a_hundred_quiet_instances_cost_next_to_nothing(outputs: Outputs) -> None:
    for number in range(100):
        printer(outputs, f"web.{number}")
    reading = asyncio.create_task(take(outputs, 1))
    began, spent = time.monotonic(), time.process_time()
    await asyncio.sleep(3)
    share = (time.process_time() - spent) / (time.monotonic() - began)
    reading.cancel()
    assert share < 0.02


async def test_the_end_of_a_flood_that_was_dropped_is_still_its_tail(outputs: Outputs) -> None:
    printer(outputs)(b"x" * 9_000_000 + b"\nthe end\n")
    assert (await take(outputs, 1))[0].text.startswith("L10 dropped=")
    assert outputs.tail("web.1", 1) == ["the end"]


async def test_reading_goes_on_where_nobody_can_note_how_far(outputs: Outputs, tmp_path: Path) -> None:
    say = printer(outputs)
    (tmp_path / "web.1.partial").mkdir()  # as on a full disk
    say(b"one\n")
    async with asyncio.timeout(10), aclosing(outputs.lines()) as lines:
        assert (await anext(lines)).text == "one"
        say(b"two\n")
        assert (await anext(lines)).text == "two"
    (tmp_path / "web.1.partial").rmdir()
