"""Layers between Builds: which come back for the next one, and how they are kept after it.

A kept layer lies in `<store>/<name>/<buildpack>/<layer>/`, so that `<store>/<name>` can be a lower directory of the
overlay at /layers. Kept layers are never written again; removing or changing one in a Build makes a new one.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hostd.build import digest, source_files
from hostd.build.fold import fold, same
from hostd.build.results import Layer
from hostd.build.scratch import Scratch, fitting
from hostd.errors import BuildFailed
from hostd.model import toml
from hostd.model.image import Image, LayerRecord, Tree

STORE = "store"  # a reserved name for layers: its record holds a Buildpack's store.toml
UNHASHED = "cache:"  # digest of a layer that no Image shows, whose content nobody compares


@dataclass(frozen=True, slots=True)
class Restored:
    """What the next Build finds: `contents` by (buildpack, layer), and every layer of the Image before as `earlier`."""

    contents: Mapping[tuple[str, str], LayerRecord]
    earlier: Mapping[tuple[str, str], LayerRecord]

    @property
    def directories(self) -> list[Path]:
        """What to merge at /layers."""
        return list(dict.fromkeys(Path(record.directory) for record in self.contents.values()))


@dataclass(frozen=True, slots=True)
class Kept:
    """A layer after the Build. `remark` is for the Transcript; `later` is work that the push need not wait for."""

    record: LayerRecord
    remark: str
    fresh: bool = True  # content that was not in the store
    later: Callable[[], None] | None = None


def choose(previous: Image | None, buildpacks: Iterable[str]) -> Restored:
    """What of `previous` is restored for these buildpacks (Buildpack API 0.12, "Layer Types")."""
    wanted = set(buildpacks)
    records = [record for record in previous.layers if record.buildpack in wanted] if previous else []
    cached = [record for record in records if record.cache and Path(record.directory).is_dir()]
    fit = set(fitting([Path(record.directory) for record in cached]))
    return Restored(
        {_key(record): record for record in cached if Path(record.directory) in fit},
        {_key(record): record for record in records},
    )


def restore(restored: Restored, buildpacks: Sequence[str], scratch: Scratch) -> None:
    """Put metadata files and contents where buildpacks look for them. Types are left out, as the rules want it."""
    for buildpack in buildpacks:
        scratch.own_directory(scratch.layer_changes / buildpack)
    for key, record in restored.earlier.items():
        only_metadata = record.launch and not record.build and not record.cache
        if record.name == STORE or key in restored.contents or only_metadata:
            scratch.put_layer_file(
                record.buildpack, f"{record.name}.toml", toml.write({"metadata": record.metadata})
            )
    scratch.mount_layers(restored.directories)


def keep(layer: Layer, restored: Restored, scratch: Scratch, store: Path) -> Kept | None:
    """Keep what the Build made of a layer, or None if there is nothing to keep. Unmounts `scratch` if there is.

    Raises BuildFailed for a launch layer that has no content and never had.
    """
    before = restored.contents.get((layer.buildpack, layer.name))
    changes = scratch.layer_changes / layer.path
    if source_files.is_directory(scratch.layer_changes, layer.path):
        if before is None or digest.is_opaque(changes):
            return _keep_new(layer, changes, scratch, store)
        if not same(_content(before), changes):
            return _keep_folded(layer, before, changes, scratch, store)
        return _keep_old(layer, before)
    if changes.exists() or changes.is_symlink():  # a whiteout, or no directory at all
        if not digest.is_whiteout(changes.lstat()):
            raise BuildFailed(f"layer {layer.path} is not a directory")
        before = None
    if before is None and layer.launch:
        before = restored.earlier.get((layer.buildpack, layer.name))
        if before is None or not before.launch:
            raise BuildFailed(f"layer {layer.path} is to be launched but has no content, and had none before")
    return _keep_old(layer, before) if before else None


def tree(record: LayerRecord) -> Tree:
    """The layer as an Image shows it."""
    return Tree(record.digest, f"/layers/{record.buildpack}/{record.name}", (str(_content(record)),))


def _keep_old(layer: Layer, before: LayerRecord) -> Kept:
    record = _record(layer, before.digest, Path(before.directory))
    if layer.launch and before.digest.startswith(UNHASHED):
        record = replace(record, digest=digest.of(_content(before), f"layer {layer.path}").digest)
    return Kept(record, "unchanged", fresh=False)


def _keep_new(layer: Layer, changes: Path, scratch: Scratch, store: Path) -> Kept:
    scratch.unmount()
    if not layer.launch:
        place = store / secrets.token_hex(16)
        _move(changes, layer, scratch, place)
        return Kept(_record(layer, UNHASHED + place.name, place), "cached")
    content = digest.of(changes, f"layer {layer.path}")
    place = store / _name(content)
    _move(changes, layer, scratch, place)
    return Kept(_record(layer, content.digest, place), f"new: {content}")


def _keep_folded(layer: Layer, before: LayerRecord, changes: Path, scratch: Scratch, store: Path) -> Kept:
    scratch.unmount()
    whole = scratch.directory / f"fold-{secrets.token_hex(8)}"
    if layer.launch:
        fold(_content(before), changes, whole)
        content = digest.of(whole, f"layer {layer.path}")
        place = store / _name(content)
        _move(whole, layer, scratch, place)
        return Kept(_record(layer, content.digest, place), f"changed: {content}")
    place = store / secrets.token_hex(16)

    def fold_now() -> None:
        fold(_content(before), changes, whole)
        _move(whole, layer, scratch, place)

    return Kept(_record(layer, UNHASHED + place.name, place), "cached", later=fold_now)


def _move(content: Path, layer: Layer, scratch: Scratch, place: Path) -> None:
    """Into the store in one step; what is there already with that name has the same content."""
    if place.exists():
        return
    outer = scratch.directory / place.name
    (outer / layer.buildpack).mkdir(parents=True)
    for directory in (outer, outer / layer.buildpack):
        directory.chmod(0o755)
    content.rename(outer / layer.path)
    place.parent.mkdir(mode=0o711, exist_ok=True)
    outer.rename(place)


def _record(layer: Layer, content_digest: str, place: Path) -> LayerRecord:
    return LayerRecord(
        buildpack=layer.buildpack,
        name=layer.name,
        digest=content_digest,
        directory=str(place),
        launch=layer.launch,
        build=layer.build,
        cache=layer.cache,
        metadata=layer.metadata,
    )


def _content(record: LayerRecord) -> Path:
    return Path(record.directory, record.buildpack, record.name)


def _key(record: LayerRecord) -> tuple[str, str]:
    return record.buildpack, record.name


def _name(content: digest.Content) -> str:
    return content.digest.removeprefix("sha256:")[:32]
