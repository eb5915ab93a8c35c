"""The digest says what is in a directory, and the walk refuses what may not be there."""

import os
import socket
from pathlib import Path

import pytest

from hostd.build import digest
from hostd.errors import BuildFailed, LimitExceeded


def fill(root: Path) -> Path:
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "run").write_text("#!/bin/sh\n")
    (root / "bin" / "run").chmod(0o755)
    (root / "link").symlink_to("/absolute/nowhere")
    return root


def test_equal_content_has_an_equal_digest_whatever_its_times_and_place(tmp_path: Path) -> None:
    one, other = fill(tmp_path / "one"), fill(tmp_path / "other")
    os.utime(other / "bin" / "run", (0, 0))
    assert digest.of(one, "x") == digest.of(other, "x")
    assert digest.of(one, "x").files == 3
    assert digest.of(one, "x") != digest.of(one, "y")


@pytest.mark.parametrize("change", ["content", "mode", "name", "target", "kind", "added"])
def test_any_change_changes_the_digest(tmp_path: Path, change: str) -> None:
    root = fill(tmp_path / "root")
    before = digest.of(root, "x").digest
    run, link = root / "bin" / "run", root / "link"
    if change == "content":
        run.write_text("#!/bin/bs\n")
    elif change == "mode":
        run.chmod(0o644)
    elif change == "name":
        run.rename(root / "bin" / "other")
    elif change == "target":
        link.unlink()
        link.symlink_to("/elsewhere")
    elif change == "kind":
        link.unlink()
        link.write_text("/absolute/nowhere")
    else:
        (root / "empty").mkdir()
    assert digest.of(root, "x").digest != before


def test_set_uid_and_set_gid_bits_are_dropped(tmp_path: Path) -> None:
    root = fill(tmp_path / "root")
    before = digest.of(root, "x")
    (root / "bin" / "run").chmod(0o6755)
    assert digest.of(root, "x") == before
    assert (root / "bin" / "run").stat().st_mode & 0o7777 == 0o755


def test_fifos_and_sockets_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    os.mkfifo(tmp_path / "dev" / "x")
    with pytest.raises(BuildFailed, match="unsupported entry type: dev/x in the app"):
        digest.of(tmp_path, "the app")
    (tmp_path / "dev" / "x").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "dev" / "s"))
    with pytest.raises(BuildFailed, match="unsupported entry type: dev/s in the app"):
        digest.of(tmp_path, "the app")


def test_names_that_are_not_text_are_content_like_any_other(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff\n\x1b[31m")).touch()
    assert digest.of(tmp_path, "x").files == 1


def test_endless_nesting_is_refused(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(digest.DEPTH_LIMIT + 2):
        deep /= "d"
    deep.mkdir(parents=True)
    with pytest.raises(LimitExceeded, match="nested deeper than 100 directories"):
        digest.of(tmp_path, "x")


def test_a_size_is_told_in_words() -> None:
    assert str(digest.Content("", 1, 20)) == "1 file, 20 bytes"
    assert str(digest.Content("", 1573, 56_100_000)) == "1,573 files, 56.1 MB"
