"""Deleting what tenants made, however deep, and how many layers one mount can take."""

import os
from pathlib import Path

from hostd.build.scratch import discard, fitting


def test_a_directory_deeper_than_path_names_go_is_deleted(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("stays")
    doomed = tmp_path / "doomed"
    doomed.mkdir()
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(doomed)
        for _ in range(3000):
            Path("directory").mkdir()
            Path("link").symlink_to(outside)
            os.chdir("directory")
    finally:
        os.chdir(before)
        os.close(before)
    discard(doomed)
    assert not doomed.exists()
    assert outside.read_text() == "stays"


def test_discarding_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    discard(tmp_path / "none")


def test_only_as_many_directories_are_mounted_as_a_mount_can_take() -> None:
    directories = [Path("/data/apps/7/layers") / f"{number:032x}" for number in range(100)]
    fit = fitting(directories)
    assert fit == directories[: len(fit)]
    assert 50 < len(fit) < 100
    assert fitting([directories[0]] * 3) == [directories[0]]
