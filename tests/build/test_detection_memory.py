"""What bin/detect said is remembered for apps that look the same to it."""

from pathlib import Path

from hostd.build.detect import Verdict
from hostd.build.remembered import Memory, look
from hostd.model.buildpack import Buildpack

STATIC = Buildpack("static", "1", looks_for=("index.html", "public/index.html"))
NODE = Buildpack("node", "1", looks_for=("manage.py",), reads=("package.json",))


def test_files_that_nobody_looks_for_make_no_difference(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("one")
    before = look(tmp_path, [STATIC, NODE], {})
    (tmp_path / "index.html").write_text("two")
    (tmp_path / "other").touch()
    assert look(tmp_path, [STATIC, NODE], {}) == before is not None


def test_a_file_that_came_a_content_that_changed_or_another_variable_make_one(tmp_path: Path) -> None:
    sights = [look(tmp_path, [STATIC, NODE], {})]
    (tmp_path / "public").mkdir()
    (tmp_path / "public/index.html").touch()
    sights.append(look(tmp_path, [STATIC, NODE], {}))
    (tmp_path / "package.json").write_text("{}")
    sights.append(look(tmp_path, [STATIC, NODE], {}))
    (tmp_path / "package.json").write_text("{ }")
    sights.append(look(tmp_path, [STATIC, NODE], {}))
    sights.append(look(tmp_path, [STATIC, NODE], {"BP_X": "1"}))
    assert len(set(sights)) == 5


def test_one_that_does_not_say_what_it_looks_at_is_always_asked(tmp_path: Path) -> None:
    assert look(tmp_path, [STATIC, Buildpack("other", "1")], {}) is None


def test_a_link_is_for_the_sandbox_to_follow(tmp_path: Path) -> None:
    (tmp_path / "public").symlink_to("/etc")
    assert look(tmp_path, [STATIC], {}) is None


def test_the_oldest_is_forgotten() -> None:
    memory = Memory()
    for number in range(2001):
        memory.keep((number,), {"x": Verdict(number)})
    assert memory.of((0,)) is None
    assert memory.of((2000,)) == {"x": Verdict(2000)}
