"""Where engines of tests live: a directory everyone may traverse, a new installation, and nothing left at the end."""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hostd.engine.local import LocalEngine
from hostd.model.app import owner_of
from hostd.model.image import Image, Tree


class Place:
    """A data directory with the trees of Apps in it; `engine` makes an engine there, again and again the same."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.installation = secrets.token_hex(4)
        self._trees = 0

    def engine(self) -> LocalEngine:
        """A LocalEngine that was not opened yet."""
        return LocalEngine(self.directory / "engine", self.installation, self.directory / "output")

    def tree(self, tenant: int, files: dict[str, str]) -> Path:
        """A directory with `files` that belongs to `tenant`."""
        self._trees += 1
        root = self.directory / f"tree-{self._trees}"
        root.mkdir()
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for path in (root, *root.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
            os.chown(path, owner_of(tenant), owner_of(tenant))
        return root

    def image(self, tenant: int = 1, files: dict[str, str] | None = None) -> Image:
        """An Image whose /app has `files`."""
        tree = Tree("0", "/app", (str(self.tree(tenant, files or {"a.txt": "a\n"})),))
        return Image("sha256:0", (tree,), {}, ())


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """A Place that is removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="hostd-engine-"))  # not pytest's: apps could not traverse that
    directory.chmod(0o711)
    try:
        yield Place(directory)
    finally:
        shutil.rmtree(directory)
