"""What overlayfs changed in a directory becomes a directory of its own, with a real overlay."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hostd import mounts
from hostd.build.fold import fold, same
from tests.build.yard import Yard, entries

pytestmark = pytest.mark.root


@dataclass(frozen=True, slots=True)
class Layers:
    """A mounted overlay: `merged` is to be changed, `fold` then makes `target`."""

    lower: Path
    upper: Path
    merged: Path
    target: Path

    def fold(self) -> Path:
        """The result, with nothing mounted any more."""
        mounts.unmount(self.merged)
        fold(self.lower, self.upper, self.target)
        return self.target


@pytest.fixture
def layers(yard: Yard) -> Iterator[Layers]:
    """A lower directory with some files in it, shown merged."""
    lower, upper, work = (yard.root / name for name in ("lower", "upper", "work"))
    for directory in (lower / "a" / "b", upper, work):
        directory.mkdir(parents=True)
    (lower / "a" / "one").write_text("one")
    (lower / "a" / "b" / "two").write_text("two")
    (lower / "link").symlink_to("/nowhere")
    mounts.overlay(yard.root / "merged", [lower], upper, work)
    yield Layers(lower, upper, yard.root / "merged", yard.root / "target")
    mounts.unmount(yard.root / "merged")


def test_nothing_changed_is_the_same(layers: Layers) -> None:
    assert same(layers.lower, layers.upper)


def test_files_written_again_with_the_same_bytes_are_the_same(layers: Layers) -> None:
    (layers.merged / "a" / "b" / "two").write_text("two")
    assert entries(layers.upper) == ["a"]
    assert same(layers.lower, layers.upper)


@pytest.mark.parametrize("change", ["bytes", "size", "mode", "removed", "added", "replaced", "link"])
def test_any_change_is_not_the_same(layers: Layers, change: str) -> None:
    two = layers.merged / "a" / "b" / "two"
    if change == "bytes":
        two.write_text("owt")
    elif change == "size":
        two.write_text("twoo")
    elif change == "mode":
        two.chmod(0o700)
    elif change == "removed":
        two.unlink()
    elif change == "added":
        (layers.merged / "a" / "b" / "empty").mkdir()
    elif change == "replaced":
        two.unlink()
        two.symlink_to("two")
    else:
        (layers.merged / "link").unlink()
        (layers.merged / "link").symlink_to("/elsewhere")
    assert not same(layers.lower, layers.upper)


def test_changes_are_taken_and_the_rest_is_hard_linked(layers: Layers) -> None:
    (layers.merged / "a" / "one").write_text("changed")
    (layers.merged / "new").mkdir()
    (layers.merged / "new" / "file").write_text("new")
    (layers.merged / "link").unlink()
    target = layers.fold()
    assert entries(target) == ["a", "new"]
    assert (target / "a" / "one").read_text() == "changed"
    assert (target / "new" / "file").read_text() == "new"
    assert (target / "a" / "b" / "two").stat().st_ino == (layers.lower / "a" / "b" / "two").stat().st_ino
    assert (layers.lower / "a" / "one").read_text() == "one"
    assert (layers.lower / "link").is_symlink()


def test_a_directory_made_again_shows_nothing_of_the_earlier(layers: Layers) -> None:
    for path in (layers.merged / "a" / "b" / "two", layers.merged / "a" / "one"):
        path.unlink()
    (layers.merged / "a" / "b").rmdir()
    (layers.merged / "a").rmdir()
    (layers.merged / "a").mkdir(mode=0o750)
    (layers.merged / "a" / "three").touch()
    target = layers.fold()
    assert entries(target / "a") == ["three"]
    assert (target / "a").stat().st_mode & 0o777 == 0o750


def test_a_file_may_become_a_directory_and_the_other_way_round(layers: Layers) -> None:
    (layers.merged / "a" / "one").unlink()
    (layers.merged / "a" / "one").mkdir()
    (layers.merged / "a" / "b" / "two").unlink()
    (layers.merged / "a" / "b").rmdir()
    (layers.merged / "a" / "b").write_text("file")
    target = layers.fold()
    assert (target / "a" / "one").is_dir()
    assert (target / "a" / "b").read_text() == "file"
