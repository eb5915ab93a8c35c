"""Which mounts are hostd's own."""

import subprocess
from pathlib import Path

import pytest

from hostd import mounts


@pytest.mark.root
def test_only_our_own_mounts_are_found(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours and\ttheirs"
    theirs.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "operator", theirs], check=True)
    try:
        mounts.tmpfs(ours, size_mb=1)
        mounts.overlay(theirs / "merged", [ours])
        assert mounts.below(tmp_path) == [theirs / "merged", ours]
    finally:
        for point in (*mounts.below(tmp_path), theirs):
            mounts.unmount(point)
