"""Swap for frozen Instances, as far as this machine lets hostd make some."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hostd.engine import memory, zram
from hostd.engine.cgroups import Cgroups
from hostd.engine.local import LocalEngine
from hostd.errors import Unavailable
from tests.engine.places import Place
from tests.eventually import until
from tests.fakes import instance_spec

MAPS = """\
55d0c8a00000-55d0c8c00000 r-xp 00000000 fe:00 1201 /usr/bin/python3.11
55d0c8c00000-55d0c8d00000 rw-p 00200000 fe:00 1201 /usr/bin/python3.11
55d0c9000000-55d0c9100000 rw-p 00000000 00:00 0 [heap]
7f1000000000-7f1090000000 rw-p 00000000 00:00 0
7f2000000000-7f2000100000 rw-s 00000000 00:01 77 /dev/zero (deleted)
7f3000000000-7f3000100000 ---p 00000000 00:00 0
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0 [stack]
7ffd00100000-7ffd00104000 r--p 00000000 00:00 0 [vvar]
"""
ZRAM_MB = 64
needs_zram = pytest.mark.skipif(
    os.geteuid() != 0 or not zram.CONTROL.exists(), reason="this machine makes no zram"
)


def test_what_is_paged_out_is_private_writable_and_of_no_file() -> None:
    sizes = [(start, size >> 20) for start, size in memory.ranges(MAPS)]
    big = 0x7F1000000000
    assert sizes == [
        (0x55D0C9000000, 1),
        (big, 1024),
        (big + (1 << 30), 1024),
        (big + (2 << 30), 256),
        (0x7FFD00000000, 0),
    ]


def _tree(root: Path, **contents: str) -> Cgroups:
    for name, text in contents.items():
        (root / name.replace("__", ".")).write_text(text)
    return Cgroups(2, (root / "hostd-1",))


def test_what_is_free_is_the_containers_rest_where_that_is_less(tmp_path: Path) -> None:
    mib = 1 << 20
    cgroups = _tree(
        tmp_path,
        memory__max=str(300 * mib),
        memory__current=str(200 * mib),
        memory__stat=f"anon 5\ninactive_file {50 * mib}\n",
    )
    assert memory.free_mb(cgroups) == 150
    (tmp_path / "memory.max").write_text("max")
    assert memory.free_mb(cgroups) > 300
    (tmp_path / "memory.max").write_text(str(100 * mib))
    assert memory.free_mb(cgroups) == 0


@pytest.fixture
async def swap(tmp_path: Path) -> AsyncIterator[Path]:
    file = tmp_path / "zram"
    await zram.provide(file, ZRAM_MB)
    yield file
    await zram.remove(file)


@needs_zram
async def test_zram_is_made_once_and_removed_with_the_wish_for_it(swap: Path) -> None:
    device = swap.read_text().split()[1]
    await zram.provide(swap, ZRAM_MB)
    assert device in Path("/proc/swaps").read_text()
    assert swap.read_text().split()[1] == device
    assert memory.swap_mb() >= ZRAM_MB - 1
    await zram.provide(swap, 0)
    assert f"/{device} " not in Path("/proc/swaps").read_text()
    assert not swap.exists()


async def test_zram_that_cannot_be_made_is_said_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zram, "CONTROL", tmp_path / "nothing")
    with pytest.raises(Unavailable, match="zram cannot be made") as refused:
        await zram.provide(tmp_path / "zram", ZRAM_MB)
    assert "modprobe zram" in refused.value.hint


@needs_zram
async def test_the_memory_of_a_frozen_instance_goes_to_swap_and_counts_as_held(
    local: LocalEngine, here: Place, swap: Path
) -> None:
    line = "x=$(head -c 12000000 /dev/zero | tr '\\0' x); echo ready; sleep 60; echo $x"
    instance = await local.start(instance_spec(("bash", "-c", line), image=here.image()))
    await until(lambda: bool(local.tail(instance.id, 1)))
    before = _resident_mb(local, instance.id)
    await local.freeze(instance)
    assert await local.reclaim(instance)
    assert _resident_mb(local, instance.id) < before / 2
    assert local.held_mb(instance) >= 12
    await local.thaw(instance)
    await asyncio.wait_for(local.stop(instance, 5.0), 10)


def _resident_mb(engine: LocalEngine, instance_id: str) -> float:
    pids = engine._processes(engine._running[instance_id])
    lines = (line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024
