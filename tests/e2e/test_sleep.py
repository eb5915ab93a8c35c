"""An idle app is frozen, and nobody who asks for it notices."""

import http.client
import random
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.e2e.server import Project, serving, wait_for
from tests.e2e.test_push import app

LISTENER = {
    "Procfile": "web: exec python3 server.py\n",
    "server.py": """\
import os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path != "/stream":
            return self.answer(b"here")
        if "Upgrade" in self.headers:
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
        else:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
        self.end_headers()
        while True:
            self.wfile.write(b"data: tick\\n\\n")
            time.sleep(0.8)
    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
""",
}


def state(project: Project) -> str:
    """What `ps` says of the web process."""
    found = project.server.api("GET", f"/apps/{project.name}/processes").json()
    return str(found[0]["state"])


def connected(project: Project) -> http.client.HTTPConnection:
    """A connection to the router."""
    return http.client.HTTPConnection("127.0.0.1", project.server.http_port, timeout=60)


def sleep_after(project: Project, seconds: int) -> None:
    """Let it fall asleep so soon."""
    answer = project.server.api("PATCH", f"/apps/{project.name}/sleep", json={"after": seconds})
    assert answer.json() == {"after": seconds}


def test_an_idle_app_is_frozen_and_the_next_request_wakes_it(project: Project) -> None:
    project.deploy(app("here"))
    assert project.get().text == "here"
    sleep_after(project, 1)
    wait_for(lambda: state(project) == "frozen", 15, "it did not fall asleep")
    started = time.monotonic()
    assert project.get().text == "here"
    assert time.monotonic() - started < 2
    wait_for(lambda: state(project) == "running", 5)


def test_many_at_once_are_answered_by_one_wake(project: Project) -> None:
    project.deploy(app("here"))
    sleep_after(project, 1)
    wait_for(lambda: state(project) == "frozen", 15, "it did not fall asleep")
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: project.get().text, range(200)))
    assert answers == ["here"] * 200


def test_requests_around_the_moment_of_falling_asleep_are_answered_with_all_they_carry(
    project: Project, another: Callable[[], Project]
) -> None:
    projects = [project, another(), another()]
    for each in projects:
        each.deploy(LISTENER)
        sleep_after(each, 1)

    def visit(number: int) -> list[str]:
        """On a connection that is kept, at a random moment, then at once on some more."""
        chance, each, failed = random.Random(number), projects[number % 3], list[str]()
        with closing(connected(each)) as kept:
            for _ in range(20):
                time.sleep(chance.uniform(0.9, 2.2))
                sent = chance.randbytes(chance.choice((1, 1000, 200_000)))
                with closing(connected(each)) as new:
                    for connection in (kept, new):
                        connection.request("POST", "/", sent, {"Host": f"{each.name}.localhost"})
                    for connection in (kept, new):
                        answer = connection.getresponse()
                        if (got := answer.read()) != sent:
                            failed.append(f"{answer.status} {got[:80]!r}")
        return failed

    with ThreadPoolExecutor(6) as pool:
        failures = [failure for failed in pool.map(visit, range(6)) for failure in failed]
    assert failures == []


@pytest.mark.parametrize("field", [{"Upgrade": "websocket", "Connection": "Upgrade"}, {}])
def test_a_websocket_or_an_event_stream_wakes_and_keeps_awake(
    project: Project, field: dict[str, str]
) -> None:
    project.deploy(LISTENER)
    sleep_after(project, 1)
    wait_for(lambda: state(project) == "frozen", 15, "it did not fall asleep")
    with socket.create_connection(("127.0.0.1", project.server.http_port), timeout=10) as connection:
        fields = {"Host": f"{project.name}.localhost", **field}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        connection.sendall(f"GET /stream HTTP/1.1\r\n{lines}\r\n".encode())
        opened = time.monotonic()
        received = b""
        while received.count(b"tick") < 5:
            piece = connection.recv(4096)
            assert piece, received
            received += piece
            assert state(project) == "running"
        assert time.monotonic() - opened > 3
    wait_for(lambda: state(project) == "frozen", 15, "it did not fall asleep again")


def test_memory_is_given_back_then_it_is_stopped_and_stays_so_over_a_crash_of_hostd() -> None:
    with serving(HOSTD_RECLAIM_AFTER="1", HOSTD_STOP_AFTER="4", HOSTD_ZRAM_MB="64") as server:
        project = server.create("shop")
        project.deploy(app("here"))
        sleep_after(project, 1)
        if "MB of swap" in server.log():
            wait_for(lambda: state(project) == "reclaimed", 15)
            assert project.get().text == "here"
        wait_for(lambda: state(project) == "stopped", 20)
        server.kill()
        held = project.get()
        assert (held.status_code, held.headers["retry-after"]) == (503, "5")
        server.start()
        assert state(project) == "stopped"
        assert project.get().text == "here"
        wait_for(lambda: state(project) == "running", 5)


def test_a_sleeping_app_takes_a_push_and_is_awake_after_it(project: Project) -> None:
    project.deploy(app("one"))
    sleep_after(project, 1)
    wait_for(lambda: state(project) == "frozen", 15, "it did not fall asleep")
    project.deploy(app("two"))
    assert project.get().text == "two"


def test_what_sleeps_goes_on_when_hostd_stops(project: Project) -> None:
    project.deploy(app("here"))
    sleep_after(project, 1)
    wait_for(lambda: state(project) == "frozen", 15, "it did not fall asleep")
    project.server.terminate()
    try:
        assert project.get().text == "here"
    finally:
        project.server.start()
