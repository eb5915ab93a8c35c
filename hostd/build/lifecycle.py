"""One Build, from a Source to an Image: detect, restore, build, keep. The phases are those of Cloud Native Buildpacks.

Everything an App brings is untrusted: its programs run in the engine's sandbox only, and its files are read by
`source_files` only. Nothing of an earlier Image is ever changed; a Build that fails leaves nothing.
"""

import asyncio
import errno
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostd.build import image, layers, recipe, source_files, trees
from hostd.build.buildpacks import read_shelf
from hostd.build.detection import detect
from hostd.build.layers import STORE
from hostd.build.phases import Built, build_group
from hostd.build.sandbox import Runner, Sandbox
from hostd.build.scratch import Scratch, discard
from hostd.build.workshop import Workshop, user_env
from hostd.errors import BuildFailed, HostdError, Unavailable
from hostd.model.app import App, owner_of
from hostd.model.image import Image, LayerRecord
from hostd.model.names import shown
from hostd.model.source import Source
from hostd.transcript import Transcript

log = logging.getLogger(__name__)
Work = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Packed:
    image: Image
    remarks: Sequence[str]
    folds: Sequence[Work]
    fresh: bool


class Lifecycle:
    """Builds Apps. Owns `apps/<id>/layers`, `apps/<id>/trees` and `apps/<id>/build`, and work left for later."""

    def __init__(self, apps: Path, engine: Runner, buildpacks: Path, toolchains: Path) -> None:
        """`buildpacks` and `toolchains` must be readable by every uid: sandboxes see them."""
        self._apps = apps
        self._engine = engine
        self._shelf = read_shelf(buildpacks)
        self._toolchains = {path.name: path for path in sorted(toolchains.glob("*")) if path.is_dir()}
        self._folding: defaultdict[int, set[asyncio.Task[None]]] = defaultdict(set)
        self._cleaning: defaultdict[int, set[asyncio.Task[None]]] = defaultdict(set)

    async def build(
        self,
        source: Source,
        app: App,
        env: Mapping[str, str],
        previous: Image | None,
        transcript: Transcript,
    ) -> Image:
        """The Image of `source`. Raises BuildFailed, LimitExceeded, Unavailable; then what was made is removed."""
        await asyncio.gather(*self._folding[app.id])
        with _full_disk_in_words():
            return await self._build(source, app, env, previous, transcript)

    async def _build(
        self,
        source: Source,
        app: App,
        env: Mapping[str, str],
        previous: Image | None,
        transcript: Transcript,
    ) -> Image:
        home = self._home(app)
        scratch = Scratch(home / "build", owner_of(app.id))
        packed: _Packed | None = None
        try:
            scratch.mount_app(source.directories)
            workshop = self._workshop(scratch, app, env)
            for job in workshop.recipe.manifest.cron_jobs:
                transcript.detail(f"cron {job}")
            with transcript.phase("Detecting"):
                detection = await detect(workshop, self._shelf, transcript)
            built = await build_group(workshop, detection, previous, transcript)
            with transcript.phase("Packing"):
                packed = await _to_the_end(asyncio.to_thread(self._pack, source, workshop, built, home))
                for remark in packed.remarks:
                    transcript.detail(remark)
        finally:
            self._finish(app, packed, scratch)
        return packed.image

    async def collect(self, app: App, kept: Sequence[Image]) -> None:
        """Remove layers and trees that no Image in `kept` uses, and what a killed hostd left. Not beside a Build."""
        await asyncio.gather(*self._cleaning[app.id])
        used = {layer.directory for made in kept for layer in made.layers}
        used |= {directory for made in kept for tree in made.trees for directory in tree.directories}
        await asyncio.to_thread(_sweep, self._home(app), used)

    async def close(self) -> None:
        """Finish what was left for later."""
        for tasks in list(self._cleaning.values()):
            await asyncio.gather(*tasks)

    def _home(self, app: App) -> Path:
        home = self._apps / str(app.id)
        for directory in (home, home / "build", home / "layers", home / "trees"):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        return home

    def _workshop(self, scratch: Scratch, app: App, env: Mapping[str, str]) -> Workshop:
        instructions = recipe.read(scratch.app)
        variables = user_env(instructions, env)
        scratch.put_platform(variables)
        sandbox = Sandbox(self._engine, app.id, (scratch.app_changes, scratch.layer_changes, scratch.results))
        return Workshop(scratch, sandbox, instructions, variables, self._toolchains)

    def _pack(self, source: Source, workshop: Workshop, built: Built, home: Path) -> _Packed:
        """What is moved into the store before a refusal is in the way of nobody; `collect` removes it."""
        scratch, launch = workshop.scratch, built.launch
        static = image.static_of(workshop.recipe, launch)
        if static and not source_files.is_directory(scratch.app, static.root):
            raise BuildFailed(f"the static root {shown(static.root)} is not a directory after the build")
        toolchains = image.toolchain_trees(launch, self._toolchains)
        app, remark = trees.keep(source, scratch, home / "trees")
        kept = [layers.keep(layer, built.restored, scratch, home / "layers") for layer in built.layers]
        found = [each for each in kept if each]
        stores = [_store_record(name, metadata) for name, metadata in built.stores.items()]
        made = image.assemble(
            workshop.recipe,
            launch,
            built.contributions,
            (app, *(layers.tree(each.record) for each in found if each.record.launch), *toolchains),
            (*(each.record for each in found), *stores),
            built.labels,
        )
        return _Packed(
            image=made,
            remarks=[
                *(f"layer {each.record.buildpack}/{each.record.name} {each.remark}" for each in found),
                *remark,
            ],
            folds=[each.later for each in found if each.later],
            fresh=bool(remark) or any(each.fresh for each in found),
        )

    def _finish(self, app: App, packed: _Packed | None, scratch: Scratch) -> None:
        """What the push need not wait for. The next Build waits for the folds, as it may restore what they make."""
        folding = _kept(self._folding[app.id], _in_thread(packed.folds if packed else ()))
        _kept(self._cleaning[app.id], _clean(folding, scratch, fresh=packed is not None and packed.fresh))


@contextmanager
def _full_disk_in_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Unavailable("there is no room left on this machine's disk") from error


async def _clean(folding: asyncio.Task[None], scratch: Scratch, *, fresh: bool) -> None:
    """Also bring what is new to the disk: files are whole after a power cut, but for the seconds until here."""
    await folding
    await _in_thread([os.sync, scratch.remove] if fresh else [scratch.remove])


async def _in_thread(work: Sequence[Work]) -> None:
    if work:
        await asyncio.to_thread(_do_all, work)


def _kept(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


async def _to_the_end(work: Coroutine[Any, Any, _Packed]) -> _Packed:
    """A thread cannot be cancelled: who is cancelled waits for it before the files are taken away beneath it."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _store_record(buildpack: str, metadata: Mapping[str, object]) -> LayerRecord:
    return LayerRecord(buildpack, STORE, "", "", launch=False, build=False, cache=False, metadata=metadata)


def _do_all(work: Sequence[Work]) -> None:
    """What goes wrong here costs room or a cached layer, never a Release."""
    for each in work:
        try:
            each()
        except (OSError, HostdError):
            log.exception("work after a build was not done")


def _sweep(home: Path, used: set[str]) -> None:
    for directory in (*(home / "layers").iterdir(), *(home / "trees").iterdir()):
        if str(directory) not in used:
            discard(directory)
    for directory in (home / "build").iterdir():
        discard(directory)
