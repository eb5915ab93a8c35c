"""The machine loses its power and starts again: every app is back, and none ever answers for another."""

import json
import os
import signal
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from hostd import mounts
from tests.e2e.server import Server, serving, wait_for
from tests.e2e.test_push import app

APPS = 5
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@pytest.fixture
def machine() -> Iterator[Server]:
    with serving() as server:
        yield server


def power_cut(server: Server) -> None:
    """Take away what a machine without power does not have any more: processes, namespaces, mounts, links, rules,
    cgroups. What is on its disk was written in another boot."""
    installation = server.installation
    bridge = f"hd-{installation}"
    for pid in _processes(server, installation):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert server.process
    server.process.wait()
    wait_for(lambda: not _processes(server, installation), 10, "a process outlived its SIGKILL")
    for namespace in Path("/run/netns").glob(f"{bridge}-*"):
        subprocess.run(("ip", "netns", "delete", namespace.name), check=True)
    for mount in mounts.below(server.data):
        mounts.unmount(mount)
    subprocess.run(("ip", "link", "delete", bridge), check=True)
    tables = json.loads(
        subprocess.run(("nft", "-j", "list", "tables"), check=True, capture_output=True).stdout
    )["nftables"]
    for table in [item["table"] for item in tables if installation in str(item.get("table"))]:
        subprocess.run(("nft", "delete", "table", table["family"], table["name"]), check=True)
    for group in sorted(Path("/sys/fs/cgroup").rglob(f"hostd-{installation}/**/"), reverse=True):
        group.rmdir()
    run, boot = server.data / "data/run", BOOT_ID.read_text().strip()
    for file in [server.data / "data/router/table.jsonl", *run.glob("engine/instances/*/*")]:
        if file.is_file() and boot in (text := file.read_text(errors="replace")):
            file.write_text(text.replace(boot, str(uuid.uuid4())))


def _processes(server: Server, installation: str) -> list[int]:
    """What hostd, its router and its apps run."""
    found, data = [], str(server.data).encode()
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            groups, words = (place / "cgroup").read_text(), (place / "cmdline").read_bytes()
            if installation in groups or data in words or data in (place / "environ").read_bytes():
                found.append(int(place.name))
    return found


def _is_itself(server: Server, name: str) -> bool:
    return server.get(name).text == name


class Watching:
    """Asks every App all the time; `wrong` is what was answered in another's name."""

    def __init__(self, server: Server, names: list[str]) -> None:
        self.server, self.names = server, names
        self.wrong: list[str] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Watching":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ending.is_set():
            for name in self.names:
                with suppress(httpx.TransportError):
                    answer = self.server.get(name)
                    if answer.status_code == 200 and answer.text != name:
                        self.wrong.append(f"{name} answered {answer.text}")


def test_after_a_power_cut_every_app_is_back_and_none_answers_for_another(machine: Server) -> None:
    names = [f"shop-{number}" for number in range(APPS)]
    for name in names:
        machine.create(name).deploy(app(name))
    with Watching(machine, names) as watching:
        for _ in range(2):
            power_cut(machine)
            machine.start()
            for name in names:
                wait_for(partial(_is_itself, machine, name), 60, f"{name} is not back")
    assert watching.wrong == []
