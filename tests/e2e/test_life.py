"""hostd stops, dies and comes back; apps and router do not care."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hostd.engine import cgroups, records
from hostd.wiring.house import SHUTDOWN_LIMIT
from tests.e2e.server import HOSTD, Project, Server, serving, wait_for
from tests.e2e.test_push import app


@pytest.fixture
def own() -> Iterator[Server]:
    """A Server that a test may kill."""
    with serving() as server:
        yield server


class Asking:
    """Asks an App again and again; `failures` is what was not answered with 200."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.count = 0
        self.failures: list[str] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _ask(self) -> None:
        server = self.project.server
        with httpx.Client(base_url=f"http://127.0.0.1:{server.http_port}", timeout=20) as client:
            while not self._ending.is_set():
                self.count += 1
                try:
                    answer = client.get("/", headers={"Host": f"{self.project.name}.localhost"})
                    if answer.status_code != 200:
                        self.failures.append(f"{answer.status_code} {answer.text[:100]}")
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                time.sleep(0.005)


def instances(server: Server) -> set[str]:
    """The ids in the engine's records."""
    return {path.name for path in (server.data / "data/run/engine/instances").iterdir()}


def awake(server: Server) -> set[str]:
    """Those that are not frozen, as what served before is for a while."""
    found, groups = set(), cgroups.layout(server.installation)
    for place in (server.data / "data/run/engine/instances").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
            record = records.from_json((place / "record.json").read_text())
            if not cgroups.is_frozen(groups, str(record.slot)):
                found.add(place.name)
    return found


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_apps_outlive_hostd_and_are_adopted(own: Server, how: str) -> None:
    project = own.create("shop")
    project.deploy(app("one"))
    before = instances(own)
    with Asking(project) as asking:
        if how == "kill":
            own.kill()
        else:
            assert own.terminate() == 0
        assert project.get().text == "one"
        own.start()
        assert instances(own) == before
        project.deploy(app("two"))
        assert project.get().text == "two"
    assert asking.failures == []
    assert asking.count > 50
    wait_for(lambda: len(awake(own)) == 1, 20, "the old instance was not stopped")


def test_a_killed_router_serves_again_by_itself_with_no_hostd_there(own: Server) -> None:
    project = own.create("shop")
    project.deploy(app("one"))
    site = own.create("site")
    site.deploy({"index.html": "a page"})
    own.kill()
    os.kill(int((own.data / "data/router/nginx.pid").read_text()), signal.SIGKILL)

    def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return project.get().text == "one" and site.get().text == "a page"
        return False

    wait_for(answers, 10, "the router did not serve")
    own.start()
    assert project.get().text == "one"


def test_a_killed_router_is_back_by_itself(own: Server) -> None:
    project = own.create("shop")
    project.deploy(app("one"))
    os.kill(int((own.data / "data/router/nginx.pid").read_text()), signal.SIGKILL)

    def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return project.get().text == "one"
        return False

    wait_for(answers, 5, "the router did not come back")


@pytest.mark.parametrize("line", ["Detecting", "Launching"])
def test_kill_9_in_the_middle_of_a_push_leaves_nothing_half_done(own: Server, line: str) -> None:
    project = own.create("shop")
    project.deploy(app("one"))
    slow = "import time; time.sleep(2)\n" if line == "Launching" else ""
    manifest = '[build]\ncommand = "sleep 5"\n' if line == "Detecting" else ""
    files = app("two")
    project.write({"server.py": slow + files["server.py"], "hostd.toml": manifest}).commit()
    process = subprocess.Popen(
        ["git", "push", "hostd", "main"], cwd=project.directory, stderr=subprocess.PIPE
    )
    assert process.stderr
    for output in process.stderr:
        if line.encode() in output:
            break
    own.kill()
    process.communicate()
    assert project.get().text == "one"
    own.start()
    assert project.get().text == "one"
    releases = own.api("GET", "/apps/shop/releases").json()
    assert {row["state"] for row in releases} <= {"live", "failed"}
    assert "is running" in project.deploy({"server.py": files["server.py"], "hostd.toml": ""}).output
    assert project.get().text == "two"
    wait_for(lambda: len(awake(own)) == 1, 20, "instances of the push that was cut off are left")


def test_an_instance_that_dies_is_started_again(own: Server) -> None:
    project = own.create("shop")
    project.deploy(app("one"))
    (record,) = (own.data / "data/run/engine/instances").iterdir()
    os.kill(int((record / "pid").read_text().split()[0]), signal.SIGKILL)
    wait_for(lambda: instances(own) != {record.name}, 10, "it was not noticed")

    def answers() -> bool:
        return project.get().text == "one"

    wait_for(answers, 10, "it was not started again")
    assert "web.1 exited with status 137" in own.api("GET", "/apps/shop/logs").text


def test_a_service_manager_hears_that_hostd_is_ready_and_when_it_is_stuck(tmp_path: Path) -> None:
    heard: list[bytes] = []

    def listen() -> None:
        while message := manager.recv(100):
            heard.append(message)

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        listening = threading.Thread(target=listen)
        listening.start()
        try:
            with serving(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="600000") as server:
                _beats_until_it_is_stuck(server, heard)
                began = time.monotonic()
                assert server.terminate() == 0
                assert time.monotonic() - began < SHUTDOWN_LIMIT, "it waited for its own beat to end"
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"", str(tmp_path / "notify"))
            listening.join()


def _beats_until_it_is_stuck(server: Server, heard: list[bytes]) -> None:
    project = server.create("shop")
    project.deploy(app("one"))
    wait_for(lambda: set(heard) == {b"READY=1", b"WATCHDOG=1"}, 10, lambda: f"only {set(heard)} was heard")
    assert server.process
    server.process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(0.5)  # what was sent before has come by then
        before = len(heard)
        assert project.get().text == "one"
        time.sleep(1)  # several beats
        assert len(heard) == before
    finally:
        server.process.send_signal(signal.SIGCONT)
    wait_for(lambda: len(heard) > before, 10, "it beats no more")


def test_a_shutdown_under_builds_ends_in_time_and_refuses_what_was_not_done(own: Server) -> None:
    projects = [own.create(f"shop-{number}") for number in range(5)]
    pushes = []
    for project in projects:
        project.write(app("x", **{"hostd.toml": '[build]\ncommand = "sleep 61.5"\n'})).commit()
        pushes.append(
            subprocess.Popen(
                ("git", "push", "-q", "hostd", "main"), cwd=project.directory, stderr=subprocess.PIPE
            )
        )

    def building() -> bool:
        return (
            subprocess.run(("pgrep", "-fx", "sleep 61.5"), stdout=subprocess.DEVNULL, check=False).returncode
            == 0
        )

    wait_for(building, 30, "no build began")
    assert own.terminate() == 0
    for push in pushes:
        push.communicate()
        assert push.returncode != 0
    own.start()
    for project in projects:
        states = {row["state"] for row in own.api("GET", f"/apps/{project.name}/builds").json()}
        assert states <= {"failed"}
        assert project.get().status_code == 404


def test_a_second_hostd_on_the_same_data_is_refused(own: Server) -> None:
    done = subprocess.run(
        [HOSTD, "serve"], env=own.env, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 6
    assert "another hostd (pid" in done.stderr


def test_nothing_is_left_after_admin_stop() -> None:
    with serving() as server:
        project = server.create("shop")
        project.deploy(app("one"))
        data = server.data
        server.cli("admin", "stop")
        mounts = Path("/proc/self/mountinfo").read_text()
        assert str(data) not in mounts
        processes = subprocess.run(
            ["pgrep", "-f", str(data)], capture_output=True, text=True, check=False
        ).stdout
        assert processes == ""
