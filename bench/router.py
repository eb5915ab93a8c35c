"""hostd's router beside nginx tuned by hand and nginx as Dokku sets it up: CPU per proxied request, in one run.

Then: how long a route change takes until it is seen, and the router's memory, with 1,000 and 10,000 hosts.

    .venv/bin/python -m bench.router [--seconds 3] [--rounds 3]

Needs root, nginx with lua-nginx-module, wrk.
"""

import argparse
import asyncio
import http.client
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from hostd.model.instance import Endpoint
from hostd.model.route import Route, ToInstances
from hostd.router import process
from hostd.router.nginx import NginxRouter

BACKEND, TUNED, DOKKU, HOSTD = 18600, 18601, 18602, 18603
HOST = "shop.localhost"
TICK = os.sysconf("SC_CLK_TCK")

COMMON = """
user www-data; worker_processes auto; pid nginx.pid; error_log error.log warn; pcre_jit on;
events {{ worker_connections {connections}; }}
http {{
    client_body_temp_path t/b; proxy_temp_path t/p; fastcgi_temp_path t/f; uwsgi_temp_path t/u; scgi_temp_path t/s;
    server_tokens off; sendfile on; tcp_nopush on; keepalive_timeout 75s; keepalive_requests {requests};
    {body}
}}
"""

BACKEND_BODY = f"""
    access_log off;
    server {{ listen 127.0.0.1:{BACKEND} backlog=4096; location / {{ return 200 "Hello World!"; }}
        location /large {{ return 200 "{"x" * 4000}"; }} }}
"""

# The same duties as ours, written out for one app: upstream keep-alive, forwarding headers, an access log.
TUNED_BODY = f"""
    access_log access.log combined buffer=64k flush=1s;
    upstream app {{ server 127.0.0.1:{BACKEND}; keepalive 512; keepalive_requests 100000; }}
    map $http_upgrade $connection_field {{ default ""; websocket upgrade; }}
    server {{ listen {TUNED} backlog=4096; server_name {HOST};
        location / {{
            proxy_pass http://app; proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;
            proxy_set_header Host $http_host; proxy_set_header Connection $connection_field;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Request-Id $request_id;
        }} }}
"""

# Dokku's template on a distribution's nginx (no upstream keep-alive before nginx 1.29.7).
DOKKU_BODY = f"""
    include /etc/nginx/mime.types; default_type application/octet-stream; gzip on;
    access_log access.log combined;
    upstream app {{ server 127.0.0.1:{BACKEND}; }}
    server {{ listen 127.0.0.1:18609 default_server; return 444; }}
    server {{ listen {DOKKU}; server_name {HOST};
        location / {{
            gzip on; gzip_min_length 1100; gzip_buffers 4 32k; gzip_vary on; gzip_comp_level 6;
            gzip_types text/css text/javascript text/xml text/plain application/javascript application/json;
            proxy_pass http://app; proxy_http_version 1.1;
            proxy_connect_timeout 60s; proxy_read_timeout 60s; proxy_send_timeout 60s;
            proxy_buffering on; proxy_buffer_size 4k; proxy_buffers 8 4k; proxy_busy_buffers_size 8k;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
            proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Request-Start $msec;
        }} }}
"""


class PlainNginx:
    """An nginx of the bench's own, in the foreground."""

    def __init__(self, directory: Path, body: str, *, connections: int, requests: int) -> None:
        (directory / "t").mkdir(parents=True)
        shutil.chown(directory / "t", "www-data")
        text = COMMON.format(body=body, connections=connections, requests=requests)
        (directory / "nginx.conf").write_text(text)
        argv = ["nginx", "-p", f"{directory}/", "-c", "nginx.conf", "-e", "error.log", "-g", "daemon off;"]
        self.child = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        self.pid = self.child.pid

    def pin(self, core: int) -> None:
        for pid in workers(self.pid):
            os.sched_setaffinity(pid, {core})

    def stop(self) -> None:
        self.child.terminate()
        self.child.wait()


def workers(master: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def cpu_seconds(pids: list[int]) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields) / TICK


def pss_mb(pids: list[int]) -> float:
    texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return sum(int(size) for text in texts for size in re.findall(r"^Pss:\s+(\d+)", text, re.M)) / 1024


async def load(port: int, master: int, seconds: float, *, extra: tuple[str, ...] = ()) -> tuple[float, float]:
    """CPU microseconds per request, and requests per second. All workers on one core, all others on another."""
    pids = workers(master)
    for pid in pids:
        os.sched_setaffinity(pid, {0})
    before = cpu_seconds(pids)
    wrk = await asyncio.create_subprocess_exec(
        "wrk", "-t1", "-c64", f"-d{seconds}s", "-H", f"Host: {HOST}", *extra, f"http://127.0.0.1:{port}/",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    out = (await wrk.communicate())[0].decode()
    count = int(re.search(r"(\d+) requests in", out)[1])  # type: ignore[index]
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    return (cpu_seconds(pids) - before) / count * 1e6, count / seconds


async def compare(masters: dict[str, tuple[int, int]], seconds: float, rounds: int) -> None:
    headers = tuple(word for n in range(20) for word in ("-H", f"X-Some-Header-{n}: {'v' * 24}"))
    for title, extra in (
        ("keep-alive", ()),
        ("20 more headers", headers),
        ("new connections", ("-H", "Connection: close")),
    ):
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in masters}
        for _ in range(rounds):
            for name, (port, master) in masters.items():
                samples[name].append(await load(port, master, seconds, extra=extra))
        cost = {name: statistics.median(us for us, _ in values) for name, values in samples.items()}
        rate = {name: statistics.median(rps for _, rps in values) for name, values in samples.items()}
        words = "  ".join(f"{name} {cost[name]:5.1f} us ({rate[name]:,.0f}/s)" for name in masters)
        print(f"{title:16} {words}")
        print(
            f"{'':16} hostd / tuned = {cost['hostd'] / cost['tuned']:.2f} (goal 1.3)   "
            f"hostd / dokku = {cost['hostd'] / cost['dokku']:.2f} (goal 0.4)"
        )


async def changes(router: NginxRouter, master: int, hosts: int) -> None:
    """Swap one host between two releases' endpoints, and look until the new one answers."""
    here = (Endpoint("127.0.0.1", BACKEND),)
    routes = [Route(f"app-{n}.localhost", ToInstances(here), f"app-{n}", "v1") for n in range(hosts)]
    await router.publish(routes)
    connection = http.client.HTTPConnection("127.0.0.1", HOSTD)
    for route in routes:  # every worker decodes what it is asked for
        ask(connection, route.host)
    milliseconds = []
    for n in range(300):
        host = f"new-{n}.localhost"
        began = time.perf_counter()
        await router.publish([Route(host, ToInstances(here), "new", f"v{n}")])
        assert ask(connection, host) == 200
        milliseconds.append((time.perf_counter() - began) * 1000)
    milliseconds.sort()
    memory = pss_mb([master, *workers(master)])
    print(
        f"{hosts:6,} hosts: change seen p50 {milliseconds[150]:.1f} ms, p99 {milliseconds[296]:.1f} ms "
        f"(goal 10), router memory {memory:.0f} MB PSS (goal 60)"
    )


def ask(connection: http.client.HTTPConnection, host: str) -> int:
    connection.putrequest("GET", "/", skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    answer.read()
    return answer.status


def searchable_directory() -> Path:
    path = Path(tempfile.mkdtemp(prefix="hostd-bench-"))
    path.chmod(0o711)
    return path


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.setpriority(os.PRIO_PROCESS, 0, -20)  # and all that is started from here: other programs disturb less
    directory = searchable_directory()
    router = NginxRouter(directory / "hostd", HOSTD, None, None, None, "localhost")
    backend = PlainNginx(directory / "backend", BACKEND_BODY, connections=4096, requests=1000000)
    tuned = PlainNginx(directory / "tuned", TUNED_BODY, connections=10240, requests=1000000)
    dokku = PlainNginx(directory / "dokku", DOKKU_BODY, connections=768, requests=1000)
    try:
        os.sched_setaffinity(0, {1})
        backend.pin(1)
        await router.open()
        master = process.running_pid(directory / "hostd")
        assert master
        await router.publish([Route(HOST, ToInstances((Endpoint("127.0.0.1", BACKEND),)), "shop", "v1")])
        masters = {"tuned": (TUNED, tuned.pid), "dokku": (DOKKU, dokku.pid), "hostd": (HOSTD, master)}
        await compare(masters, options.seconds, options.rounds)
        for hosts in (1000, 10000):
            await changes(router, master, hosts)
    finally:
        await router.stop()
        for nginx in (backend, tuned, dokku):
            nginx.stop()
        shutil.rmtree(directory)


if __name__ == "__main__":
    asyncio.run(main())
