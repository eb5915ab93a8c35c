"""What bin/detect said before. A push seldom changes what it looks at, and asking costs a sandbox.

Only of hostd's own buildpacks, which name in their buildpack.toml all that their detection depends on
(`[metadata] detect-files`, `detect-content`). One that names nothing is asked every time.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from hostd.build import source_files
from hostd.build.detect import Verdict
from hostd.errors import BuildFailed
from hostd.model.buildpack import Buildpack

SIGHTS_LIMIT = 2000
Sight = tuple[object, ...]


class Memory:
    """The verdicts of the last SIGHTS_LIMIT sights."""

    def __init__(self) -> None:
        self._verdicts: dict[Sight, Mapping[str, Verdict]] = {}

    def of(self, sight: Sight) -> Mapping[str, Verdict] | None:
        """What was said, or None."""
        return self._verdicts.get(sight)

    def keep(self, sight: Sight, verdicts: Mapping[str, Verdict]) -> None:
        """Remember it; the oldest is forgotten."""
        self._verdicts[sight] = verdicts
        if len(self._verdicts) > SIGHTS_LIMIT:
            del self._verdicts[next(iter(self._verdicts))]


def look(app: Path, buildpacks: Sequence[Buildpack], env: Mapping[str, str]) -> Sight | None:
    """All that their detection depends on. None if one does not say, or if a link or the like stands for a file."""
    if not all(buildpack.looks_for or buildpack.reads for buildpack in buildpacks):
        return None
    names = {name for buildpack in buildpacks for name in buildpack.looks_for}
    read = {name for buildpack in buildpacks for name in buildpack.reads}
    asked = tuple((buildpack.id, buildpack.version) for buildpack in buildpacks)
    try:
        seen = tuple(source_files.is_file(app, name) for name in sorted(names))
        contents = tuple(_digest(source_files.read(app, name)) for name in sorted(read))
    except BuildFailed:
        return None
    return asked, tuple(sorted(env.items())), seen, contents


def _digest(content: bytes | None) -> str:
    return hashlib.sha256(content).hexdigest() if content is not None else ""
