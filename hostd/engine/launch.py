"""Starts a program in a slot: mounts what it sees, then runs the launcher with what only hostd may hold open."""

import asyncio
import contextlib
import os
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path

from hostd import command, mounts
from hostd.command import Command
from hostd.engine import cgroups as groups
from hostd.engine import sandbox, seccomp
from hostd.engine.cgroups import Cgroups
from hostd.engine.sandbox import Descriptors, Launch, Mount, View
from hostd.engine.slots import Slot
from hostd.model.app import owner_of
from hostd.model.image import Image
from hostd.model.instance import Limits

_OUTPUT_MB = 2048  # largest output file while no hostd is there to cut it
INSTANCE_BADNESS, TASK_BADNESS = 500, 800  # for the out-of-memory killer: builds go first, hostd last


def launch_of(cgroups: Cgroups, slot: Slot, tenant: int, limits: Limits, *, stays: bool) -> Launch:
    """How to start an Instance in `slot`, or a task, which `stays` with hostd."""
    return Launch(
        joins=groups.joins(cgroups, slot.name),
        namespace=slot.namespace,
        owner=owner_of(tenant),
        open_files=min(limits.open_files, _hard_limit()),
        file_mb=limits.disk_mb if stays else max(limits.disk_mb, _OUTPUT_MB),
        badness=TASK_BADNESS if stays else INSTANCE_BADNESS,
    )


def own_limits(cgroups: Cgroups, slot: Slot) -> list[Mount]:
    """Where Node, Java and others look for how much memory and CPU they have, to make their heaps fit."""
    return [Mount(path, target) for path, target in groups.shown(cgroups, slot.name)]


async def spawn(
    view: View, launch: Launch, argv: Sequence[str], status: Path, streams: tuple[int, int, int]
) -> asyncio.subprocess.Process:
    """Start a program that is hostd's child. `status`: where bubblewrap reports to; `streams`: stdin, stdout, stderr.

    Raises Invalid for what no program can be given.
    """
    stdin, stdout, stderr = streams
    with _ready(view, launch, argv, status) as (line, descriptors):
        return await command.spawn(
            line, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=descriptors.all()
        )


def leave(view: View, launch: Launch, argv: Sequence[str], status: Path, output: int) -> int:
    """As `spawn`, but for a program that outlives hostd; bubblewrap's process id."""
    with _ready(view, launch, argv, status) as (line, descriptors):
        return command.leave(line, output=output, pass_fds=descriptors.all())


@contextlib.contextmanager
def _ready(
    view: View, launch: Launch, argv: Sequence[str], status: Path
) -> Iterator[tuple[Command, Descriptors]]:
    sandbox.check(argv, view.env, view.directory)
    options = sandbox.encode(sandbox.options(view, sandbox.top_directories()))
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with _memory_file(options) as arguments, _memory_file(seccomp.program()) as filter_program:
        told = os.open(status, flags, 0o600)
        try:
            descriptors = Descriptors(arguments, filter_program, told)
            yield Command(sandbox.launcher(launch, descriptors, argv)), descriptors
        finally:
            os.close(told)


def show(image: Image, directory: Path, tenant: int, disk_mb: int) -> Iterator[Mount]:
    """Mount what needs merging below `directory`; what is to be shown where. /app can be written, until the end."""
    for number, tree in enumerate(image.trees):
        lowers = [Path(lower) for lower in tree.directories]
        if tree.target == sandbox.HOME:
            yield Mount(_writable(directory, lowers, tenant, disk_mb), tree.target, writable=True)
        elif len(lowers) == 1:
            yield Mount(lowers[0], tree.target)
        else:
            merged = directory / f"tree-{number}"
            mounts.overlay(merged, lowers)
            yield Mount(merged, tree.target)


def _writable(directory: Path, lowers: Sequence[Path], tenant: int, disk_mb: int) -> Path:
    disk, app, owner = directory / "disk", directory / "app", owner_of(tenant)
    mounts.tmpfs(disk, size_mb=disk_mb, mode=0o711)
    upper, work = disk / "upper", disk / "work"
    for path in (upper, work):
        path.mkdir(mode=0o755)
        os.chown(path, owner, owner)
    mounts.overlay(app, lowers, upper, work)
    return app


@contextlib.contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("hostd", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _hard_limit() -> int:
    """Open files hostd itself may have: not every container lets root give more than that."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard
