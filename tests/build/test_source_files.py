"""Reading what tenants wrote: links are never followed, nothing blocks, sizes are capped."""

import os
import socket
from pathlib import Path

import pytest

from hostd.build import source_files
from hostd.errors import BuildFailed


def test_a_file_is_read_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("content")
    assert source_files.read(tmp_path, "a/b/c") == b"content"
    assert source_files.read(tmp_path, "./a/./b/c") == b"content"


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    assert source_files.read(tmp_path, "Procfile") is None
    assert source_files.read(tmp_path, "no/such/file") is None


def test_a_symlink_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    (tmp_path / "Procfile").symlink_to("/etc/shadow")
    with pytest.raises(BuildFailed) as refusal:
        source_files.read(tmp_path, "Procfile")
    assert refusal.value.message == "Procfile is a symlink; refused"


def test_a_symlink_on_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "etc").symlink_to("/etc")
    with pytest.raises(BuildFailed, match="etc is a symlink; refused"):
        source_files.read(tmp_path, "etc/passwd")
    assert not source_files.is_directory(tmp_path, "etc")
    assert source_files.names(tmp_path, "etc") == []


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a\0b"])
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildFailed, match="is not a path inside the app"):
        source_files.read(tmp_path, name)


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    for name in ("fifo", "directory", "socket"):
        with pytest.raises(BuildFailed, match=f"{name} is not a regular file; refused"):
            source_files.read(tmp_path, name)


def test_a_file_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 2049)
    with pytest.raises(BuildFailed, match="big is larger than 2 KiB; refused"):
        source_files.read(tmp_path, "big", 2048)
    assert source_files.read(tmp_path, "big", 2049) == b"x" * 2049


def test_names_are_sorted_and_directories_are_known(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a").touch()
    assert source_files.names(tmp_path, ".") == ["a", "b"]
    assert source_files.names(tmp_path, "none") == []
    assert source_files.is_directory(tmp_path, "b")
    assert source_files.is_directory(tmp_path, ".")
    assert not source_files.is_directory(tmp_path, "a")
    assert not source_files.is_directory(tmp_path, "none")
