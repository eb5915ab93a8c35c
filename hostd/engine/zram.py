"""Compressed memory as swap (zram), if the operator wants hostd to make it: where frozen Instances' memory goes.

It is the whole machine's, so hostd makes it only when told to, and removes only what it made itself.
"""

import contextlib
from pathlib import Path

from hostd import command
from hostd.command import Command, CommandFailed
from hostd.engine import records
from hostd.errors import Unavailable

CONTROL = Path("/sys/class/zram-control")
_BLOCK = Path("/sys/block")
_PRIORITY = "100"  # before any disk
_LOAD = "run: modprobe zram; or unset HOSTD_ZRAM_MB"


async def provide(file: Path, megabytes: int) -> None:
    """Have so much of it; 0: none. `file` remembers which device is hostd's. Raises Unavailable."""
    device = _ours(file)
    if device and megabytes << 20 == _size(device):
        return
    try:
        if device:
            await remove(file)
        if megabytes:
            device = _add(file, megabytes)
            await command.check(Command(("mkswap", f"/dev/{device}")))
            await command.check(Command(("swapon", "-p", _PRIORITY, f"/dev/{device}")))
    except (OSError, CommandFailed) as error:
        raise Unavailable(f"zram cannot be made: {error}", hint=_LOAD) from error


async def remove(file: Path) -> None:
    """Take it away again, if hostd made it; what is in it goes back to memory. Raises OSError."""
    if device := _ours(file):
        await command.run(Command(("swapoff", f"/dev/{device}")))
        _drop(file, device)


def _add(file: Path, megabytes: int) -> str:
    device = f"zram{(CONTROL / 'hot_add').read_text().strip()}"
    file.write_text(f"{records.boot_id()} {device}\n")
    with contextlib.suppress(OSError):  # a kernel without it has another
        (_BLOCK / device / "comp_algorithm").write_text("lz4")
    (_BLOCK / device / "disksize").write_text(str(megabytes << 20))
    return device


def _drop(file: Path, device: str) -> None:
    (_BLOCK / device / "reset").write_text("1")
    (CONTROL / "hot_remove").write_text(device.removeprefix("zram"))
    file.unlink()


def _size(device: str) -> int:
    return int((_BLOCK / device / "disksize").read_text())


def _ours(file: Path) -> str:
    """The device that hostd made since the machine was started, or ""."""
    boot, _, device = (file.read_text() if file.exists() else "").strip().partition(" ")
    return device if boot == records.boot_id() and device and (_BLOCK / device).exists() else ""
