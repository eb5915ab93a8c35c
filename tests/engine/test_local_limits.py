"""One app cannot take what belongs to the others: memory, processes, disk, descriptors, time, output."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from hostd.engine import output
from hostd.engine.local import LocalEngine
from hostd.model.instance import Exit, Limits
from hostd.model.log import LogLine
from hostd.model.task import Task
from tests.engine.places import Place
from tests.fakes import instance_spec

pytestmark = pytest.mark.root
PYTHON = "/usr/bin/python3"
PATH = {"PATH": "/usr/bin:/bin"}
HOARD = "b = bytearray(300 << 20); b[::4096] = b'x' * len(b[::4096]); print('got it')"
FORKS = """
import os, time
count = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        count += 1
except OSError as error:
    print(count, error.strerror)
    raise SystemExit(9)
"""


def program(text: str, limits: Limits) -> Task:
    return Task(1, (PYTHON, "-c", text), PATH, limits=limits)


async def test_too_much_memory_ends_a_task_and_is_named(local: LocalEngine) -> None:
    assert await local.run(program(HOARD, Limits(memory_mb=64)), lambda line: None) == Exit(137, "memory")


async def test_too_much_memory_ends_an_instance_and_is_named(local: LocalEngine, here: Place) -> None:
    spec = instance_spec((PYTHON, "-c", HOARD), image=here.image(), limits=Limits(memory_mb=64))
    async with asyncio.timeout(20):
        assert await local.wait(await local.start(spec)) == Exit(137, "memory")


async def test_files_in_memory_count_as_memory(local: LocalEngine) -> None:
    fill = "open('/tmp/x', 'wb').write(bytes(200 << 20))"
    result = await local.run(program(fill, Limits(memory_mb=64)), lambda line: None)
    assert result == Exit(137, "memory")


async def test_a_fork_bomb_meets_its_limit_and_leaves_nothing(local: LocalEngine, here: Place) -> None:
    lines: list[str] = []
    result = await local.run(program(FORKS, Limits(processes=40)), lines.append)
    assert result == Exit(9, "processes")
    assert 20 <= int(lines[0].split()[0]) <= 40
    assert not sandboxes_of(here)


async def test_a_bomb_in_sh_does_not_outlive_its_task(local: LocalEngine, here: Place) -> None:
    bomb = Task(1, ("sh", "-c", "b() { b | b & }; b; sleep 1"), PATH, limits=Limits(processes=60, seconds=3))
    await local.run(bomb, lambda line: None)
    assert not sandboxes_of(here)


async def test_the_disk_of_app_is_as_large_as_its_limit(local: LocalEngine, here: Place) -> None:
    script = "head -c 50000000 /dev/zero > /app/big; echo $?; stat -c %s /app/big"
    lines: list[str] = []
    limits = Limits(disk_mb=16)
    await local.run(Task(1, ("sh", "-c", script), PATH, image=here.image(), limits=limits), lines.append)
    assert int(lines[-1]) <= 16 << 20


async def test_open_files_are_limited(local: LocalEngine) -> None:
    text = "import os\ntry:\n    while True: last = os.dup(0)\nexcept OSError: print(last)"
    lines: list[str] = []
    await local.run(program(text, Limits(open_files=100)), lines.append)
    assert lines == ["99"]


async def test_a_quota_slows_what_computes(local: LocalEngine) -> None:
    text = "import time; end = time.monotonic() + 1\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    lines: list[str] = []
    await local.run(program(text, Limits(cpus=0.2)), lines.append)
    assert float(lines[0]) < 0.5


async def test_a_task_that_left_children_behind_is_over_when_it_ends(local: LocalEngine, here: Place) -> None:
    lines: list[str] = []
    began = time.monotonic()
    task = Task(1, ("sh", "-c", "sleep 60 & setsid sleep 60 & echo done"), PATH)
    assert await local.run(task, lines.append) == Exit(0)
    assert lines == ["done"]
    assert time.monotonic() - began < 20
    assert not sandboxes_of(here)


async def test_zombies_are_reaped(local: LocalEngine) -> None:
    text = (
        "import os, time\n"
        "for _ in range(200):\n"
        "    if os.fork() == 0:\n"
        "        os.fork()\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "def dead(): return [p for p in os.listdir('/proc') if p.isdigit() and 'Z (' in state(p)]\n"
        "def state(p):\n"
        "    try: return open(f'/proc/{p}/status').read()\n"
        "    except OSError: return ''\n"
        "end = time.monotonic() + 5\n"
        "while dead() and time.monotonic() < end: time.sleep(0.01)\n"
        "print(dead())\n"
    )
    lines: list[str] = []
    await local.run(program(text, Limits()), lines.append)
    assert lines == ["[]"]


async def test_a_flood_of_output_is_dropped_counted_and_takes_no_disk(
    local: LocalEngine, here: Place
) -> None:
    await local.start(instance_spec(("yes", "flood"), id="flood", image=here.image()))
    await local.start(
        instance_spec(("sh", "-c", "while sleep 0.05; do date +%s.%N; done"), id="calm", image=here.image())
    )
    file, largest, late = here.directory / "output" / "flood.out", 0, 0.0
    seen: list[LogLine] = []

    def look(line: LogLine) -> bool:
        nonlocal largest, late
        largest = max(largest, size_on_disk(file))
        if line.instance == "calm":
            late = max(late, line.at - float(line.text))
        if line.source == "hostd" or line.instance == "calm":
            seen.append(line)
        return len([each for each in seen if each.source == "hostd"]) >= 3

    began = time.monotonic()
    flood = await count_until(local, look)
    seconds = time.monotonic() - began
    assert all(line.text.startswith("L10 dropped=") for line in seen if line.source == "hostd")
    assert flood <= (seconds + 5) * output.LINES_RATE
    assert largest < 1 << 30
    assert late < 1.0


async def count_until(local: LocalEngine, enough: Callable[[LogLine], bool]) -> int:
    """Read lines until one is enough; how many there were."""
    count = 0
    async with asyncio.timeout(30), aclosing(local.output()) as lines:  # type: ignore[type-var]
        async for line in lines:
            count += 1
            if enough(line):
                return count
    return count


def size_on_disk(file: Path) -> int:
    try:
        return file.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def sandboxes_of(here: Place) -> list[str]:
    """Processes of the machine that are in a sandbox of this Place."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if f"hostd-{here.installation}" in path.read_text() and path.parent.name != str(os.getpid()):
                found.append(path.parent.name)
        except OSError:
            continue
    return found


async def test_a_program_can_see_how_much_memory_it_has(local: LocalEngine) -> None:
    script = (
        "cat /proc/self/cgroup; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max"
    )
    lines: list[str] = []
    await local.run(Task(1, ("sh", "-c", script), PATH, limits=Limits(memory_mb=100)), lines.append)
    assert str(100 << 20) in lines
    assert any(line.endswith((":memory:/", "0::/")) for line in lines)
