"""The words for bubblewrap and the launcher."""

from itertools import pairwise
from pathlib import Path

import pytest

from hostd.engine import sandbox
from hostd.engine.sandbox import Descriptors, Launch, Mount, View
from hostd.errors import Invalid

VIEW = View((), {"B": "2", "A": "1"}, "/app", Path("/data/etc"), disk_mb=64)
LAUNCH = Launch(("/c/a", "/c/b"), "hd-x-1", 200_007, 4096, 2048, 500)


def pairs(words: list[str], option: str) -> list[tuple[str, str]]:
    return [(words[at + 1], words[at + 2]) for at, word in enumerate(words) if word == option]


def test_every_namespace_is_new_and_every_capability_dropped() -> None:
    words = sandbox.options(VIEW, {})
    for namespace in ("user", "pid", "ipc", "uts"):
        assert f"--unshare-{namespace}" in words
    assert words[words.index("--cap-drop") + 1] == "ALL"
    assert "--disable-userns" in words


def test_an_app_outlives_hostd_and_hears_sigterm() -> None:
    words = sandbox.options(VIEW, {})
    assert "--die-with-parent" not in words
    assert "--as-pid-1" not in words


def test_the_network_namespace_is_the_slots_unless_there_is_to_be_none() -> None:
    assert "--unshare-net" not in sandbox.options(VIEW, {})
    assert "--unshare-net" in sandbox.options(View((), {}, "/", Path("/e"), 1, network=False), {})


def test_the_environment_is_the_given_one_and_a_home() -> None:
    words = sandbox.options(VIEW, {})
    assert "--clearenv" in words
    assert pairs(words, "--setenv") == [("A", "1"), ("B", "2"), ("HOME", "/app")]


def test_a_home_of_its_own_is_kept() -> None:
    words = sandbox.options(View((), {"HOME": "/tmp"}, "/", Path("/e"), 1), {})
    assert pairs(words, "--setenv") == [("HOME", "/tmp")]


def test_mounts_come_from_the_outside_in() -> None:
    mounts = (Mount(Path("/d/3"), "/app/a/b"), Mount(Path("/d/1"), "/app", writable=True))
    words = sandbox.options(View(mounts, {}, "/", Path("/e"), 1), {})
    assert pairs(words, "--bind") == [("/d/1", "/app")]
    assert pairs(words, "--ro-bind")[-1] == ("/d/3", "/app/a/b")
    assert words.index("/d/1") < words.index("/d/3")


def test_without_an_app_there_is_an_empty_one_that_can_be_written() -> None:
    words = sandbox.options(VIEW, {})
    assert ("--tmpfs", "/app") in list(pairwise(words))
    size = str(64 << 20)
    assert all(words[at + 1] == size for at, word in enumerate(words) if word == "--size")


def test_top_directories_are_links_or_directories_as_on_the_machine(tmp_path: Path) -> None:
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "lib").symlink_to("/usr/lib")
    (tmp_path / "sbin").mkdir()
    assert sandbox.top_directories(tmp_path) == {"bin": "usr/bin", "sbin": None, "lib": "usr/lib"}
    words = sandbox.options(VIEW, {"bin": "usr/bin", "sbin": None})
    assert ("usr/bin", "/bin") in pairs(words, "--symlink")
    assert ("/sbin", "/sbin") in pairs(words, "--ro-bind")


def test_root_is_dropped_before_bubblewrap_starts() -> None:
    line = sandbox.launcher(LAUNCH, Descriptors(7, 8, 9), ("sh", "-c", "x"))
    assert " ".join(line[3:]) == (
        "hostd-launch 4096 4194304 500 /c/a /c/b -- "
        "nsenter --net=/run/netns/hd-x-1 -S 200007 -G 200007 -- "
        "bwrap --args 7 --seccomp 8 --json-status-fd 9 -- sh -c x"
    )


def test_options_are_separated_by_nul() -> None:
    assert sandbox.encode(["--setenv", "A", "ä\n"]) == b"--setenv\0A\0\xc3\xa4\n\0"


@pytest.mark.parametrize(
    ("command", "env", "directory"),
    [
        ((), {}, "/"),
        (("a\0b",), {}, "/"),
        (("a",), {"A": "x\0--bind"}, "/"),
        (("a",), {"A\0": "x"}, "/"),
        (("a",), {"A=B": "x"}, "/"),
        (("a",), {"": "x"}, "/"),
        (("a",), {}, "/\0"),
    ],
)
def test_what_no_program_can_be_given_is_refused(
    command: tuple[str, ...], env: dict[str, str], directory: str
) -> None:
    with pytest.raises(Invalid):
        sandbox.check(command, env, directory)
