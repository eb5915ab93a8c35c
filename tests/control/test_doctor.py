"""What doctor finds, on this machine and on made-up ones."""

import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hostd.control import doctor
from hostd.router.certificates import Certificates, self_signed

NOW = datetime(2026, 11, 25, tzinfo=UTC)


async def test_every_check_of_this_machine_says_what_it_found(tmp_path: Path) -> None:
    checks = await doctor.examine(tmp_path, {}, NOW)
    assert len({check.name for check in checks}) == len(checks) >= 12
    assert all(check.found for check in checks)
    assert all(check.fix for check in checks)
    assert next(check for check in checks if check.name == "git").ok


async def test_a_program_that_is_too_old_or_missing_comes_with_its_package() -> None:
    old = await doctor.version("git", (99, 0), ("git", "--version"), "git")
    assert (old.ok, old.fix) == (False, "apt-get install git")
    assert old.found.endswith(", 99.0 is needed")
    missing = await doctor.version("nope", (1, 0), ("hostd-no-such-program",), "nope")
    assert (missing.ok, missing.found) == (False, "not installed, 1.0 or later is needed")
    assert doctor.program("hostd-no-such-program", "nope") == doctor.Check(
        "hostd-no-such-program", False, "not installed", "apt-get install nope"
    )
    assert not doctor.lua([Path("/nowhere/lua.so")]).ok


@pytest.mark.parametrize(
    ("controllers", "ok", "found"),
    [
        ("cpu memory pids", True, "version 2"),
        ("cpu pids", False, "version 2 without memory"),
    ],
)
def test_cgroups_of_version_2_are_known_by_their_controllers(
    tmp_path: Path, controllers: str, ok: bool, found: str
) -> None:
    (tmp_path / "cgroup.controllers").write_text(controllers + "\n")
    check = doctor.cgroups(tmp_path)
    assert (check.ok, check.found) == (ok, found)


def test_cgroups_of_version_1_are_known_by_their_directories(tmp_path: Path) -> None:
    for name in ("memory", "pids"):
        (tmp_path / name).mkdir()
    assert doctor.cgroups(tmp_path).found == "version 1 without cpu"
    (tmp_path / "cpu").mkdir()
    assert doctor.cgroups(tmp_path).ok
    assert not doctor.cgroups(tmp_path / "absent").ok


def test_a_kernel_without_overlayfs_is_told(tmp_path: Path) -> None:
    filesystems = tmp_path / "filesystems"
    filesystems.write_text("nodev\ttmpfs\n\text4\n")
    assert not doctor.overlay(filesystems).ok
    filesystems.write_text("nodev\toverlay\n")
    assert doctor.overlay(filesystems).ok


def test_a_port_in_use_is_told_with_who_has_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        check = doctor.port("HOSTD_LISTEN", "127.0.0.1", number, tmp_path)
    assert f"pid {os.getpid()}" in check.found
    assert "HOSTD_LISTEN" in check.fix
    assert doctor.port("HOSTD_LISTEN", "127.0.0.1", number, tmp_path).found == "free"
    assert not doctor.port("HOSTD_LISTEN", "192.0.2.1", number, tmp_path).ok


def test_secrets_that_others_can_read_are_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    (tmp_path / "key").touch(0o600)
    (tmp_path / "hostd.db").touch()
    (tmp_path / "hostd.db").chmod(0o644)
    found = {Path(check.name).name: check for check in doctor.modes(tmp_path)}
    assert (found["key"].ok, found["hostd.db"].ok) == (True, False)
    assert found["hostd.db"].fix == f"chmod 600 {tmp_path / 'hostd.db'}"


def test_a_certificate_that_expired_or_was_not_renewed_in_time_is_found(tmp_path: Path) -> None:
    kept = Certificates(tmp_path, "localhost")
    kept.prepare()
    kept.keep("www.example.com", *self_signed("www.example.com"))  # 2020 to 2050
    for now, ok, found in (
        (NOW, True, "expires 2050-01-01 00:00 UTC"),
        (NOW.replace(year=2048), False, "expires 2050-01-01 00:00 UTC"),
        (NOW.replace(year=2050), False, "expired 2050-01-01 00:00 UTC"),
    ):
        check = doctor.certificates(tmp_path, now)[0]
        assert (check.name, check.ok, check.found) == ("certificate www.example.com", ok, found)
    (tmp_path / "certificates/www.example.com.crt").write_text("no PEM")
    assert not doctor.certificates(tmp_path, NOW)[0].ok


def test_a_dns_hook_has_to_be_a_program(tmp_path: Path) -> None:
    assert doctor.acme_hook(None) == []
    assert not doctor.acme_hook(tmp_path / "gone")[0].ok
    assert doctor.acme_hook(Path("/bin/true"))[0].ok
