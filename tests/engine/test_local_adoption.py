"""hostd may die at any moment: what runs goes on running and is found again, what is dead is cleared away."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from hostd import mounts
from hostd.engine import records
from hostd.engine.local import LocalEngine
from hostd.errors import Unavailable
from hostd.model.image import Image, Tree
from hostd.model.instance import Exit, Instance
from hostd.model.log import LogLine
from tests.engine.places import Place
from tests.eventually import until
from tests.fakes import instance_spec

pytestmark = pytest.mark.root
STARTS_ONE = """
import asyncio, os, signal, sys
from pathlib import Path
from hostd.engine.local import LocalEngine
from hostd.model.image import Image, Tree
from tests.fakes import instance_spec

async def main():
    directory, installation, tree, line = sys.argv[1:]
    engine = LocalEngine(Path(directory) / "engine", installation, Path(directory) / "output")
    await engine.open()
    image = Image("sha256:0", (Tree("0", "/app", (tree,)),), {}, ())
    await engine.start(instance_spec(("sh", "-c", line), id="web.1", image=image))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def started_by_a_hostd_that_was_killed(here: Place, line: str) -> None:
    words = (str(here.directory), here.installation, str(here.tree(1, {"a": "a"})), line)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTS_ONE, *words, cwd=Path(__file__).parents[2]
    )
    assert await process.wait() == -signal.SIGKILL


async def take(engine: LocalEngine, count: int) -> list[LogLine]:
    found: list[LogLine] = []
    async with asyncio.timeout(20), aclosing(engine.output()) as lines:  # type: ignore[type-var]
        async for line in lines:
            found.append(line)
            if len(found) == count:
                break
    return found


def machine_parts(here: Place) -> list[str]:
    """Mounts, network namespaces, cgroups and links of a Place."""
    parts = [str(path) for path in mounts.below(here.directory)]
    for place in (Path("/run/netns"), Path("/sys/class/net"), Path("/sys/fs/cgroup/pids")):
        if place.is_dir():
            parts += [path.name for path in place.iterdir() if here.installation in path.name]
    return parts


def only(instances: Sequence[Instance]) -> Instance:
    (instance,) = instances
    return instance


async def test_an_instance_of_a_killed_hostd_is_adopted_with_its_output(here: Place) -> None:
    await started_by_a_hostd_that_was_killed(here, "echo before; while :; do echo after; sleep 0.05; done")
    engine = here.engine()
    await engine.open()
    instance = only(await engine.instances())
    assert [line.text for line in await take(engine, 3)] == ["before", "after", "after"]
    assert await engine.stop(instance, 10.0)
    assert (await engine.wait(instance)).status == 143
    await engine.remove()
    await until(lambda: not machine_parts(here))


async def test_one_that_ended_while_no_hostd_ran_has_its_status_and_its_output(here: Place) -> None:
    await started_by_a_hostd_that_was_killed(here, "sleep 0.3; echo last words; exit 7")
    await until(lambda: b"exit-code" in (here.directory / "engine/instances/web.1/status").read_bytes())
    engine = here.engine()
    await engine.open()
    assert await engine.instances() == []
    assert engine.tail("web.1", 5) == ["last words"]
    assert (await take(engine, 1))[0].text == "last words"
    await engine.remove()
    await until(lambda: not machine_parts(here))


async def test_what_was_read_before_a_restart_is_not_read_again(here: Place) -> None:
    engine = here.engine()
    await engine.open()
    line = "echo one; echo two; while [ ! -e /app/go ]; do sleep 0.05; done; echo three; sleep 60"
    await engine.start(instance_spec(("sh", "-c", line), id="web.1", image=here.image()))
    assert [line.text for line in await take(engine, 2)] == ["one", "two"]
    await engine.close()
    following = here.engine()
    await following.open()
    go(here)
    assert [line.text for line in await take(following, 1)] == ["three"]
    await following.remove()


def go(here: Place) -> None:
    """Make /app/go for the Instance that waits for it."""
    (app,) = (here.directory / "engine/sandboxes").glob("*/app")
    (app / "go").touch()


async def test_a_process_that_only_has_the_same_number_is_not_adopted(here: Place) -> None:
    await started_by_a_hostd_that_was_killed(here, "exit 7")
    pid = here.directory / "engine/instances/web.1/pid"
    await until(lambda: b"exit-code" in pid.with_name("status").read_bytes())
    pid.write_text(str(os.getpid()))
    engine = here.engine()
    await engine.open()
    assert await engine.instances() == []
    await engine.remove()


async def test_a_record_from_before_the_machine_was_started_again_is_forgotten(here: Place) -> None:
    await started_by_a_hostd_that_was_killed(here, "sleep 60")
    record = here.directory / "engine/instances/web.1/record.json"
    record.write_text(record.read_text().replace(records.boot_id(), "11111111-2222-3333-4444-555555555555"))
    engine = here.engine()
    await engine.open()
    assert await engine.instances() == []
    assert not record.exists()
    await engine.remove()
    await until(lambda: not machine_parts(here))


async def test_half_a_record_does_not_stop_hostd(here: Place) -> None:
    await started_by_a_hostd_that_was_killed(here, "sleep 60")
    (here.directory / "engine/instances/web.1/record.json").write_text('{"instance":')
    engine = here.engine()
    await engine.open()
    assert await engine.instances() == []
    await engine.remove()
    await until(lambda: not machine_parts(here))


async def test_another_installation_is_left_alone(local: LocalEngine, here: Place) -> None:
    instance = await local.start(instance_spec(("sleep", "60"), image=here.image()))
    other = LocalEngine(here.directory / "other", "00000" + os.urandom(2).hex()[:3], here.directory / "o")
    await other.open()
    await other.remove()
    assert await local.instances() == [instance]


async def test_nothing_is_left_on_the_machine_after_stop(local: LocalEngine, here: Place) -> None:
    images = here.image(), layered(here)
    running = [
        await local.start(instance_spec(("sleep", "60"), id=f"w.{number}", image=image))
        for number, image in enumerate(images)
    ]
    assert len(mounts.below(here.directory)) >= 4
    for instance in running:
        await local.stop(instance, 10.0)
    assert mounts.below(here.directory) == []
    assert list((here.directory / "engine/instances").iterdir()) == []


def layered(here: Place) -> Image:
    """An Image with a tree of two directories beside /app."""
    top, base = here.tree(1, {"b": "new"}), here.tree(1, {"a": "a", "b": "old"})
    app = Tree("0", "/app", (str(here.tree(1, {"x": "x"})), str(base)))
    return Image("sha256:1", (app, Tree("1", "/layers/one", (str(top), str(base)))), {}, ())


async def test_trees_are_merged_topmost_first(local: LocalEngine, here: Place) -> None:
    line = "cat /layers/one/b; ls /layers/one /app; touch /layers/one/c 2>/dev/null || echo ' read-only'"
    instance = await local.start(instance_spec(("sh", "-c", line), image=layered(here)))
    assert await local.wait(instance) == Exit(0)
    said = " ".join(local.tail(instance.id, 20)).split()
    assert said == ["new/app:", "a", "b", "x", "/layers/one:", "a", "b", "read-only"]


async def test_an_instance_whose_tree_is_gone_is_not_started_and_leaves_nothing(
    local: LocalEngine, here: Place
) -> None:
    image = here.image()
    shutil.rmtree(image.trees[0].directories[0])
    with pytest.raises(Unavailable, match="could not start web"):
        await local.start(instance_spec(image=image))
    assert await local.instances() == []
    assert mounts.below(here.directory) == []
