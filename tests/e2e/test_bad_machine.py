"""A machine that lacks something or has run out of it: hostd says what, and what is running goes on."""

import contextlib
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.server import HOSTD, Server, wait_for
from tests.e2e.test_bad_apps import ANSWER
from tests.e2e.test_bad_requests import kept

MIB = 1024 * 1024
RUN = {"Procfile": "web: exec python3 program 200\n", "program": ANSWER}


@contextlib.contextmanager
def small_disk(server: Server, directory: str, mib: int) -> Iterator[Path]:
    """A file system of `mib` MiB at a place below hostd's data; ends the server before it goes."""
    place = server.data / "data" / directory
    place.mkdir(parents=True)
    place.chmod(0o711)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0711", "hostd-test", place], check=True)
    try:
        yield place
    finally:
        server.stop()
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def stopped() -> Iterator[Server]:
    """A Server that was not started yet."""
    data = Path(tempfile.mkdtemp(prefix="hostd-test-"))
    data.chmod(0o711)
    (data / "data").mkdir()
    server = Server(data)
    yield server
    server.stop()


def fill(place: Path) -> Path:
    """Take all room there is."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


def test_a_full_disk_refuses_a_push_and_keeps_nothing_of_it(stopped: Server) -> None:
    with small_disk(stopped, "repositories", 6):
        project = stopped.start().create("shop")
        project.deploy(RUN)
        before = kept(project)
        (project.directory / "big").write_bytes(os.urandom(8 * MIB))
        project.commit()
        pushed = project.push(status=1)
        assert "No space left on device" in pushed.output
        assert "! [remote rejected] main -> main (unpacker error)" in pushed.output
        assert sorted(kept(project)) == sorted(before)
        assert project.get().text == "ok"
        project.git("reset", "-q", "--hard", "HEAD~1")
        assert "is running v2" in project.deploy({"more": "x"}).output


def test_a_disk_that_is_full_of_files_refuses_a_push_in_words(stopped: Server) -> None:
    """The objects fit, the work tree does not."""
    with small_disk(stopped, "apps", 6):
        project = stopped.start().create("shop")
        project.deploy(RUN)
        project.write({f"file{number}": "x" * MIB for number in range(8)}).commit()
        pushed = project.push(status=1)
        assert "the disk of this machine is full" in pushed.output
        assert project.get().text == "ok"
        assert "is running" in project.deploy({**{f"file{number}": "" for number in range(8)}}).output


def test_a_build_that_fills_the_disk_fails_and_the_next_one_has_its_room(stopped: Server) -> None:
    with small_disk(stopped, "apps", 20):
        project = stopped.start().create("shop")
        project.deploy(RUN)
        pushed = project.deploy(
            {"hostd.toml": '[build]\ncommand = "head -c 60M /dev/zero > big"\n'}, status=1
        )
        assert "No space left on device" in pushed.output
        assert "! [remote rejected] main -> main (build failed:" in pushed.output
        assert project.get().text == "ok"
        pushed = project.deploy({"hostd.toml": '[build]\ncommand = "head -c 6M /dev/zero > big"\n'})
        assert "is running v2" in pushed.output


def test_a_full_disk_of_the_database_refuses_writes_and_nothing_else(stopped: Server) -> None:
    stopped.extra["HOSTD_DATABASE"] = str(stopped.data / "data/database/hostd.db")
    with small_disk(stopped, "database", 4) as disk:
        project = stopped.start().create("shop")
        project.deploy(RUN)
        filler = fill(disk)
        answer = stopped.api("PATCH", "/apps/shop/config", json={"A": "x" * 60_000})
        assert answer.status_code == 503
        assert "the disk is full" in answer.text
        assert stopped.api("GET", "/apps").status_code == 200
        assert "the disk is full" in project.deploy({"more": "x"}, status=1).output
        assert project.get().text == "ok"
        filler.unlink()
        assert "is running" in project.deploy({"more": "y"}).output


@pytest.mark.parametrize("before", [True, False], ids=["something was live", "nothing was live"])
def test_a_release_that_cannot_be_stored_as_live_does_not_stay_live(stopped: Server, before: bool) -> None:
    """The disk of the database fills up while the release command runs."""
    stopped.extra["HOSTD_DATABASE"] = str(stopped.data / "data/database/hostd.db")
    with small_disk(stopped, "database", 4) as disk:
        project = stopped.start().create("shop")
        if before:
            project.deploy(RUN)
        new = RUN["Procfile"].replace("200", "201") + "release: echo running; sleep 3\n"
        project.write({**RUN, "Procfile": new}).commit()
        push = subprocess.Popen(
            ["git", "push", "hostd", "main"], cwd=project.directory, stderr=subprocess.PIPE, text=True
        )
        assert push.stderr
        while "running" not in push.stderr.readline():
            assert push.poll() is None
        filler = fill(disk)
        said = push.communicate(timeout=60)[1]
        assert "the disk is full" in said
        assert push.returncode == 1
        assert project.get().status_code == (200 if before else 404)
        filler.unlink()
        stopped.kill()
        stopped.start()
        assert project.get().status_code == (200 if before else 404)
        records = stopped.data / "data/run/engine/instances"
        wait_for(lambda: len(list(records.iterdir())) == int(before), 20, "instances of it are left")


def refused_start(server: Server, *before: str) -> str:
    """What `hostd serve` says when it cannot start; BEFORE are words to run it with."""
    done = subprocess.run(
        [*before, HOSTD, "serve"], env=server.env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 6, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("which", ["api_port", "http_port", "ssh_port"])
def test_a_port_that_is_taken_is_named(stopped: Server, which: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1" if which == "api_port" else "0.0.0.0", getattr(stopped, which)))  # noqa: S104
        holder.listen()
        assert f"port {getattr(stopped, which)} " in refused_start(stopped)


MISSING = {
    "git": ("/usr/bin/git", "git is not installed"),
    "nginx": ("/usr/sbin/nginx", "nginx is not installed"),
    "bubblewrap": ("/usr/bin/bwrap", "bwrap is not installed"),
    "nftables": ("/usr/sbin/nft", "nft is not installed"),
    "the Lua module": ("/usr/lib/nginx/modules/ngx_http_lua_module.so", "nginx lacks"),
}
OLD = {
    "git": ("/usr/bin/git", "git version 2.20.1", "git version 2.20.1 is too old: 2.39 is needed"),
    "bubblewrap": ("/usr/bin/bwrap", "bubblewrap 0.3.1", "bubblewrap 0.3.1 is too old: 0.8 is needed"),
}


def machine_where(script: str, *words: str) -> tuple[str, ...]:
    """Words that run what follows where SCRIPT was run before; seen from here nothing has changed."""
    return ("unshare", "--mount", "sh", "-ec", f'{script}\nexec "$@"', "sh", *words)


HIDE = """
place=$(mktemp -d)
mount -t tmpfs hostd-test $place
mkdir $place/upper $place/work
mount -t overlay -o lowerdir=$(dirname PROGRAM),upperdir=$place/upper,workdir=$place/work o $(dirname PROGRAM)
rm PROGRAM
umount -l $place
rmdir $place
"""


@pytest.mark.parametrize(("program", "words"), MISSING.values(), ids=MISSING)
def test_a_program_that_is_missing_is_named_with_what_installs_it(
    stopped: Server, program: str, words: str
) -> None:
    without = machine_where(HIDE.replace("PROGRAM", program))
    said = refused_start(stopped, *without)
    assert words in said
    assert "apt" in said or "hostd doctor" in said
    doctor = subprocess.run(
        [*without, HOSTD, "doctor"], env=stopped.env, capture_output=True, text=True, check=False, timeout=60
    )
    assert doctor.returncode == 6
    assert "not installed" in doctor.stdout
    assert "apt-get install" in doctor.stderr


@pytest.mark.parametrize(("program", "version", "words"), OLD.values(), ids=OLD)
def test_a_program_that_is_too_old_is_named_with_what_is_needed(
    stopped: Server, program: str, version: str, words: str
) -> None:
    fake = stopped.data / "fake"
    fake.write_text(f"#!/bin/sh\necho {version}\n")
    fake.chmod(0o755)
    older = machine_where(f"mount --bind {fake} {program}")
    assert words in refused_start(stopped, *older)
    doctor = subprocess.run(
        [*older, HOSTD, "doctor"], env=stopped.env, capture_output=True, text=True, check=False, timeout=60
    )
    assert doctor.returncode == 6
    assert "is needed" in doctor.stdout


def test_a_data_directory_that_cannot_be_written_is_named(stopped: Server) -> None:
    readonly = machine_where(
        f"mount --bind {stopped.data}/data {stopped.data}/data; mount -o remount,bind,ro {stopped.data}/data"
    )
    said = refused_start(stopped, *readonly)
    assert str(stopped.data / "data") in said


def test_a_data_path_that_is_a_file_is_named(stopped: Server) -> None:
    (stopped.data / "data").rmdir()
    (stopped.data / "data").write_text("a file")
    assert str(stopped.data / "data") in refused_start(stopped)
    (stopped.data / "data").unlink()
