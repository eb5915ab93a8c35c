"""Exports are exactly the commit, whatever changed since the base."""

import stat
from pathlib import Path

import pytest

from hostd import mounts
from hostd.errors import Invalid, LimitExceeded
from hostd.model.app import owner_of
from hostd.model.source import Source
from tests.git.conftest import Clone

pytestmark = pytest.mark.root


def merged(source: Source, at: Path) -> dict[str, str]:
    """The files of a Source, by path, as an Instance would see them."""
    mounts.overlay(at, source.directories)
    try:
        return {
            str(path.relative_to(at)): str(path.readlink()) if path.is_symlink() else path.read_text()
            for path in at.rglob("*")
            if path.is_symlink() or path.is_file()
        } | {
            f"{path.relative_to(at)}/": ""
            for path in at.rglob("*")
            if path.is_dir() and not path.is_symlink()
        }
    finally:
        mounts.unmount(at)


async def test_the_first_export_is_the_whole_tree(clone: Clone, tmp_path: Path) -> None:
    clone.write("app.py", "one")
    clone.write("deep/er/file", "two")
    (clone.directory / "link").symlink_to("/etc/passwd")
    source = await clone.repositories.export(clone.app, clone.commit())
    assert merged(source, tmp_path / "m") == {
        "app.py": "one",
        "deep/": "",
        "deep/er/": "",
        "deep/er/file": "two",
        "link": "/etc/passwd",
    }
    assert len(source.directories) == 1


async def test_a_later_export_writes_only_what_changed(clone: Clone, tmp_path: Path) -> None:
    for number in range(20):
        clone.write(f"keep/{number}", str(number))
    clone.write("gone/only", "x")
    clone.write("becomes-file/a", "x")
    clone.write("becomes-dir", "x")
    await clone.repositories.export(clone.app, clone.commit())
    clone.git("rm", "-qr", "gone", "becomes-file", "becomes-dir")
    clone.write("becomes-file", "now a file")
    clone.write("becomes-dir/b", "now a directory")
    clone.write("keep/3", "three")
    source = await clone.repositories.export(clone.app, clone.commit())
    files = merged(source, tmp_path / "m")
    assert files["keep/3"] == "three"
    assert files["keep/4"] == "4"
    assert files["becomes-file"] == "now a file"
    assert files["becomes-dir/b"] == "now a directory"
    assert "gone/" not in files
    delta = [path for path in source.directories[0].rglob("*") if path.is_file()]
    assert len(delta) == 3


async def test_equal_content_has_an_equal_time_and_the_apps_owner(clone: Clone) -> None:
    clone.write("a", "same")
    clone.write("b", "same")
    clone.write("c", "other")
    (directory,) = (await clone.repositories.export(clone.app, clone.commit())).directories
    times = {name: (directory / name).stat().st_mtime for name in "abc"}
    assert times["a"] == times["b"] != times["c"]
    assert {path.stat().st_uid for path in directory.rglob("*")} == {owner_of(clone.app.id)}


async def test_a_delta_has_the_time_a_whole_export_would_have(clone: Clone) -> None:
    for number in range(9):
        clone.write(f"{number}", str(number))
    (base,) = (await clone.repositories.export(clone.app, clone.commit())).directories
    clone.write("copy", "5")
    delta = (await clone.repositories.export(clone.app, clone.commit())).directories[0]
    assert (delta / "copy").stat().st_mtime == (base / "5").stat().st_mtime


async def test_modes_are_0644_or_0755(clone: Clone) -> None:
    clone.write("run", "x")
    (clone.directory / "run").chmod(0o775)
    clone.write("read", "x")
    (clone.directory / "read").chmod(0o664)
    (directory,) = (await clone.repositories.export(clone.app, clone.commit())).directories
    assert stat.S_IMODE((directory / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((directory / "read").stat().st_mode) == 0o644


async def test_export_ignore_does_not_change_the_app(clone: Clone) -> None:
    clone.write(".gitattributes", "tests export-ignore\n*.txt export-subst\n")
    clone.write("tests/t", "x")
    clone.write("v.txt", "$Format:%H$")
    (directory,) = (await clone.repositories.export(clone.app, clone.commit())).directories
    assert (directory / "tests/t").exists()
    assert (directory / "v.txt").read_text() == "$Format:%H$"


@pytest.mark.parametrize("place", ["", "deep/er/"])
async def test_files_that_git_converts_are_written_by_git_wherever_that_is_said(
    clone: Clone, place: str
) -> None:
    async def exported(name: str) -> str:
        source = await clone.repositories.export(clone.app, clone.commit())
        return (source.directories[0] / name).read_bytes().decode()

    clone.write("other", "x")
    clone.write(f"{place}before.txt", "a\n")
    assert await exported(f"{place}before.txt") == "a\n"
    clone.write(f"{place}.gitattributes", "*.txt text eol=crlf\n")
    assert await exported(f"{place}before.txt") == "a\r\n"
    clone.write(f"{place}after.txt", "b\n")
    assert await exported(f"{place}after.txt") == "b\r\n"
    clone.git("rm", "-q", f"{place}.gitattributes")
    assert await exported(f"{place}after.txt") == "b\n"
    clone.write("other", "y")
    assert len((await clone.repositories.export(clone.app, clone.commit())).directories) == 2


async def test_a_submodule_is_refused_by_name(clone: Clone) -> None:
    clone.write("a", "x")
    commit = clone.commit()
    clone.git("update-index", "--add", "--cacheinfo", f"160000,{commit},vendor/lib")
    clone.git("commit", "-qm", "submodule")
    clone.git("push", "-q", "origin", "HEAD:refs/heads/main")
    with pytest.raises(Invalid, match="submodule 'vendor/lib' refused"):
        await clone.repositories.export(clone.app, clone.git("rev-parse", "HEAD"))


@pytest.mark.parametrize("place", ["", "deep/er/"])
async def test_an_lfs_pointer_is_refused_by_name(clone: Clone, place: str) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12\n"
    clone.write(f"{place}.gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    clone.write(f"{place}big.bin", pointer)
    with pytest.raises(Invalid, match=rf"LFS pointer found at '{place}big\.bin'"):
        await clone.repositories.export(clone.app, clone.commit())


async def test_a_grown_delta_is_folded_into_a_new_base(clone: Clone) -> None:
    for number in range(30):
        clone.write(str(number), "x")
    await clone.repositories.export(clone.app, clone.commit())
    for number in range(10):
        clone.write(str(number), "y")
    commit = clone.commit()
    assert len((await clone.repositories.export(clone.app, commit)).directories) == 2
    await clone.repositories.tidy(clone.app, commit, [])
    source = await clone.repositories.export(clone.app, commit)
    assert len(source.directories) == 1
    assert len(list(clone.repositories.sources(clone.app).glob("base-*"))) == 1


async def test_too_deep_a_path_is_refused(clone: Clone) -> None:
    clone.write("/".join(["d"] * 70).lstrip("/"), "x")
    with pytest.raises(Exception, match="path too deep"):
        await clone.repositories.export(clone.app, clone.commit())


async def test_a_base_whose_objects_are_gone_is_replaced(clone: Clone, tmp_path: Path) -> None:
    """As after a push that was refused: its export may be the base, its objects are dropped with the quarantine."""
    clone.write("app.py", "one")
    await clone.repositories.export(clone.app, clone.commit())
    clone.git("update-ref", "-d", "HEAD")
    clone.write("app.py", "two")
    commit = clone.commit()
    repository = clone.repositories.path(clone.app)
    clone.git("--git-dir", str(repository), "reflog", "expire", "--expire=now", "--all")
    clone.git("--git-dir", str(repository), "gc", "-q", "--prune=now")
    source = await clone.repositories.export(clone.app, commit)
    assert merged(source, tmp_path / "m") == {"app.py": "two"}


async def test_one_blob_under_many_names_counts_as_often_as_it_is_written(clone: Clone) -> None:
    clone.write("base", "x")
    await clone.repositories.export(clone.app, clone.commit())
    with (clone.directory / ".git" / "big").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    blob = clone.git("hash-object", "-w", ".git/big")
    for number in range(11):
        clone.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{number}")
    clone.git("commit", "-qm", "many names")
    clone.git("push", "-q", "origin", "HEAD:refs/heads/main")
    with pytest.raises(LimitExceeded, match="larger than 1024 MiB in all"):
        await clone.repositories.export(clone.app, clone.git("rev-parse", "HEAD"))
