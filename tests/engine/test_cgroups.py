"""Both versions of cgroups, on directories that look like them."""

from pathlib import Path

import pytest

from hostd.engine import cgroups
from hostd.engine.cgroups import Cgroups
from hostd.errors import Unavailable
from hostd.model.instance import Limits


def version_1(root: Path) -> Cgroups:
    for name in (*cgroups.CONTROLLERS, "freezer"):
        (root / name).mkdir()
        (root / name / "cgroup.procs").touch()
    return cgroups.layout("0badcafe", root)


def version_2(root: Path) -> Cgroups:
    (root / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (root / "cgroup.subtree_control").write_text("cpu memory pids\n")
    return cgroups.layout("0badcafe", root)


def test_version_1_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    found = version_1(tmp_path)
    assert found.version == 1
    assert found.parents == tuple(
        tmp_path / name / "hostd-0badcafe" for name in ("memory", "pids", "cpu", "freezer")
    )


def test_version_2_has_one_tree(tmp_path: Path) -> None:
    assert version_2(tmp_path) == Cgroups(2, (tmp_path / "hostd-0badcafe",))


def test_a_version_2_without_controllers_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("hugetlb\n")
    assert version_1(tmp_path).version == 1


def test_a_machine_without_cgroups_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no cgroup controllers"):
        cgroups.layout("0badcafe", tmp_path)


def test_limits_in_version_1(tmp_path: Path) -> None:
    found = version_1(tmp_path)
    limits = Limits(memory_mb=64, processes=40, cpus=0.5)
    written = {path.name: value for path, value in cgroups.settings(found, "3", limits, 50)}
    assert written == {
        "memory.limit_in_bytes": str(64 << 20),
        "memory.memsw.limit_in_bytes": str(64 << 20),
        "pids.max": "40",
        "cpu.cfs_quota_us": "50000",
        "cpu.shares": "512",
    }


def test_limits_in_version_2(tmp_path: Path) -> None:
    found = version_2(tmp_path)
    limits = Limits(memory_mb=64, processes=40)
    written = {path.name: value for path, value in cgroups.settings(found, "3", limits, 100)}
    assert written == {
        "memory.max": str(64 << 20),
        "memory.swap.max": "0",
        "pids.max": "40",
        "cpu.max": "max 100000",
        "cpu.weight": "100",
    }


@pytest.mark.parametrize("version", [version_1, version_2])
def test_a_cgroup_is_made_limited_and_removed(tmp_path: Path, version: type) -> None:
    found: Cgroups = version(tmp_path)
    cgroups.prepare(found)
    cgroups.create(found, "3")
    assert cgroups.names(found) == {"3"}
    limits = Limits(memory_mb=64)
    for path, _ in cgroups.settings(found, "3", limits, 100):
        path.touch()  # the kernel would
    cgroups.limit(found, "3", limits, weight=100)
    assert {path.read_text() for path, _ in cgroups.settings(found, "3", limits, 100)} >= {
        str(64 << 20),
        "256",
    }
    for path in found.of("3"):
        for file in path.iterdir():
            file.unlink()
    cgroups.remove(found, "3")
    cgroups.remove(found, "3")
    assert cgroups.names(found) == set()
    for parent in found.parents:
        (parent / "cgroup.subtree_control").unlink(missing_ok=True)
    cgroups.dissolve(found)
    assert not any(parent.exists() for parent in found.parents)


def test_in_version_2_controllers_are_handed_down(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    found = cgroups.layout("0badcafe", tmp_path)
    cgroups.prepare(found)
    for path in (tmp_path, tmp_path / "hostd-0badcafe"):
        assert (path / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"


def test_what_the_kernel_counted_is_read(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    old, new = version_1(one), version_2(two)
    for found, file in ((old, "memory.oom_control"), (new, "memory.events")):
        cgroups.prepare(found)
        cgroups.create(found, "3")
        assert cgroups.memory_kills(found, "3") == 0
        (found.of("3")[0] / file).write_text("oom 5\noom_kill 2\n")
        assert cgroups.memory_kills(found, "3") == 2
        (found.of("3")[0 if found.version == 2 else 1] / "pids.events").write_text("max 7\n")
        assert cgroups.refused_processes(found, "3") == 7


def test_the_processes_of_what_is_gone_are_none(tmp_path: Path) -> None:
    found = version_2(tmp_path)
    assert cgroups.processes(found, "9") == []
    assert cgroups.kill(found, "9")
