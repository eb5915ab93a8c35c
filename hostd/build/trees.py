"""The app's own tree: the Source, and on top of it what the Build changed in /app."""

import hashlib
import os
from pathlib import Path

from hostd.build import digest
from hostd.build.scratch import Scratch
from hostd.model.image import Tree
from hostd.model.source import Source

TARGET = "/app"


def keep(source: Source, scratch: Scratch, store: Path) -> tuple[Tree, list[str]]:
    """The Tree at /app, and a remark for the Transcript, none if the Build changed nothing."""
    directories = tuple(str(directory) for directory in source.directories)
    with os.scandir(scratch.app_changes) as entries:
        changed = any(entries)
    if not changed:
        return Tree(f"git:{source.tree}", TARGET, directories), []
    scratch.unmount()
    content = digest.of(scratch.app_changes, "the app")
    place = store / content.digest.removeprefix("sha256:")[:32]
    if not place.exists():
        scratch.app_changes.rename(place)
    whole = hashlib.sha256(f"{source.tree}\0{content.digest}".encode()).hexdigest()
    return Tree(f"sha256:{whole}", TARGET, (str(place), *directories)), [f"made in /app: {content}"]
