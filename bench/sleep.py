"""What sleep costs those who ask, and what sleepers cost the machine.

Wakes are measured over the same request to the running app, beside a bare start of the same program. Then: randomly
timed requests around the moment of falling asleep, 200 at once for one app, and a crowd of apps that sleep, are
measured and are all asked at once. ROUNDS of wakes, REQUESTS at random and the CROWD can be set.
"""

import asyncio
import hashlib
import http.client
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.e2e.server import Project, Server, free_port, serving, wait_for

ROUNDS = int(os.environ.get("ROUNDS", "4"))
REQUESTS = int(os.environ.get("REQUESTS", "10000"))
CROWD = int(os.environ.get("CROWD", "100"))
APPS = 50  # that fall asleep between their REQUESTS
NEVER = {"HOSTD_RECLAIM_AFTER": "604800", "HOSTD_STOP_AFTER": "604800"}
DEEPEST = {  # settings with which an app stays in this state
    "frozen": NEVER,
    "reclaimed": NEVER | {"HOSTD_RECLAIM_AFTER": "1", "HOSTD_ZRAM_MB": "1024"},
    "stopped": NEVER | {"HOSTD_STOP_AFTER": "1"},
}
WATCHED = 30  # seconds
GOALS = {"frozen": 2, "reclaimed": 15, "stopped": 150}

APP = """\
import hashlib, json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version, wbufsize = "HTTP/1.1", -1
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = json.dumps({"pid": os.getpid(), "sha256": hashlib.sha256(body).hexdigest()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    do_POST = do_GET
    def log_message(self, *words):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 512

Server(("", int(os.environ["PORT"])), Handler).serve_forever()
"""


def main() -> None:
    """Print one block per question."""
    print(f"{os.cpu_count()} cores, kernel {os.uname().release}")
    bare = statistics.median(bare_start() for _ in range(10))
    print(f"bare start of the process: {bare:.1f} ms")
    with serving(**DEEPEST["frozen"]) as server:
        wakes(server, "frozen")
        asyncio.run(at_random(server))
    with serving(**DEEPEST["reclaimed"]) as server:
        wakes(server, "reclaimed")
        crowd(server, "reclaimed")
    with serving(**DEEPEST["stopped"]) as server:
        wakes(server, "stopped")
        at_once(server)
        storm(crowd(server, "stopped"))


def wakes(server: Server, state: str) -> None:
    """A wake from `state` over a running app."""
    apps = [deployed(server, f"wake{number}") for number in range(5)]
    floor = statistics.median(ask(app) for app in apps for _ in range(40))
    for app in apps:
        sleep_after(app, 1)
    times: list[float] = []
    for _ in range(ROUNDS):
        all_are(apps, state)
        times += [ask(app) - floor for app in apps]
    print(
        f"\nwake of {state}, ms over running ({floor:.1f}): p50 {statistics.median(times):.1f}, "
        f"worst of {len(times)} {max(times):.1f}, goal {GOALS[state]}"
    )


def at_once(server: Server) -> None:
    """200 requests for one stopped app."""
    app = deployed(server, "many")
    sleep_after(app, 1)
    all_are([app], "stopped")
    with ThreadPoolExecutor(200) as pool:
        pids = Counter(pool.map(lambda _: pid_of(app), range(200)))
    print(f"\n200 at once to a stopped app: {sum(pids.values())} answers by {len(pids)} processes")


async def at_random(server: Server) -> None:
    """REQUESTS to apps that fall asleep after a second, half of them on kept-alive connections, with bodies."""
    apps = [deployed(server, f"random{number}") for number in range(APPS)]
    for app in apps:
        sleep_after(app, 1)
    failures: list[str] = []
    slept = Counter[bool]()
    with ThreadPoolExecutor(APPS) as pool:
        loop = asyncio.get_running_loop()
        work = [
            loop.run_in_executor(pool, _visit, app, number, failures, slept)
            for number, app in enumerate(apps)
        ]
        await asyncio.gather(*work)
    print(
        f"\n{APPS * (REQUESTS // APPS)} requests around the moment of falling asleep: {len(failures)} failed, "
        f"{slept[True]} took more than 20 ms"
    )
    for failure in failures[:10]:
        print(f"  {failure}")


def _visit(app: Project, seed: int, failures: list[str], slow: Counter[bool]) -> None:
    chance = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", app.server.http_port, timeout=90)
    for _ in range(REQUESTS // APPS):
        time.sleep(chance.uniform(0.9, 2.3))
        body = chance.randbytes(chance.choice((0, 10, 100_000)))
        started = time.perf_counter()
        try:
            connection.request("POST", "/", body, {"Host": host_of(app)})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{type(error).__name__} {error}")
            connection.close()
            continue
        slow[time.perf_counter() - started > 0.02] += 1
        if answer.status != 200 or hashlib.sha256(body).hexdigest() not in text:
            failures.append(f"{answer.status} {text[:100]}")
        if chance.random() < 0.5:
            connection.close()


def crowd(server: Server, state: str) -> list[Project]:
    """CROWD apps that sleep: memory and CPU of hostd and the router."""
    apps = [deployed(server, f"crowd{number}") for number in range(CROWD)]
    for app in apps:
        sleep_after(app, 1)
    all_are(apps, state, 300)
    processes = own_processes(server)
    before, started = cpu_of(processes), time.monotonic()
    time.sleep(WATCHED)
    cpu = (cpu_of(processes) - before) / (time.monotonic() - started) * 100
    memory = {name: sum(p.memory_full_info().pss for p in each) / 2**20 for name, each in processes.items()}
    resident = {name: sum(p.memory_info().rss for p in each) / 2**20 for name, each in processes.items()}
    shown = ", ".join(f"{name} {memory[name]:.0f} (RSS {resident[name]:.0f})" for name in processes)
    print(
        f"\n{CROWD} apps {state}: {sum(memory.values()):.0f} MB: {shown}; {cpu:.2f} % of one CPU; goal 150 MB, 1 %"
    )
    return apps


def storm(apps: list[Project]) -> None:
    """All are asked at once."""
    started = time.monotonic()
    ends: list[float] = []

    def one(app: Project) -> None:
        pid_of(app)
        ends.append(time.monotonic() - started)

    with ThreadPoolExecutor(len(apps)) as pool:
        list(pool.map(one, apps))
    middle, last = statistics.median(ends), max(ends)
    print(f"\n{len(apps)} stopped apps asked at once: all answered, median {middle:.1f} s, last {last:.1f} s")


def own_processes(server: Server) -> dict[str, list[psutil.Process]]:
    """hostd's own process, and nginx's master and workers."""
    assert server.process
    master = psutil.Process(int((server.data / "data/router/nginx.pid").read_text()))
    return {"hostd": [psutil.Process(server.process.pid)], "router": [master, *master.children()]}


def cpu_of(processes: dict[str, list[psutil.Process]]) -> float:
    """Seconds of CPU they used so far."""
    times = (p.cpu_times() for each in processes.values() for p in each)
    return sum(each.user + each.system for each in times)


def deployed(server: Server, name: str) -> Project:
    """A small Python app without dependencies."""
    project = server.create(name)
    project.deploy({"server.py": APP, "Procfile": "web: exec python3 server.py\n"})
    return project


def sleep_after(app: Project, seconds: int) -> None:
    """Let it fall asleep so soon."""
    assert app.server.api("PATCH", f"/apps/{app.name}/sleep", json={"after": seconds}).status_code == 200


def all_are(apps: list[Project], state: str, seconds: float = 60) -> None:
    """Wait until all of them are so."""

    def reached(app: Project) -> Callable[[], bool]:
        return lambda: app.server.api("GET", f"/apps/{app.name}/processes").json()[0]["state"] == state

    for app in apps:
        wait_for(reached(app), seconds, f"{app.name} is not {state}")


def host_of(app: Project) -> str:
    """Its host name."""
    return f"{app.name}.localhost:{app.server.http_port}"


def ask(app: Project) -> float:
    """Milliseconds until the whole answer to one request on a new connection."""
    started = time.perf_counter()
    pid_of(app)
    return (time.perf_counter() - started) * 1000


def pid_of(app: Project) -> str:
    """The process that answered."""
    connection = http.client.HTTPConnection("127.0.0.1", app.server.http_port, timeout=90)
    connection.request("GET", "/", headers={"Host": host_of(app)})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, text
    return text


def bare_start() -> float:
    """Milliseconds from starting the program, without any platform, until it answers."""
    port, started = free_port(), time.perf_counter()
    process = subprocess.Popen(["/usr/bin/python3", "-c", APP], env={"PORT": str(port)})
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.0005)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/")
        connection.getresponse().read()
        return (time.perf_counter() - started) * 1000
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
