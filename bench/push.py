"""From the start of `git push` to the first response of the new release, beside the floor on the same machine.

The floor is what no hosting can leave out: a plain `git push` over HTTP (git http-backend behind a small server), and
a bare start of the same app until it answers. Ratios are what counts; the machine is stated.
"""

import contextlib
import http.client
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.e2e.server import Project, Server, free_port, serving

ROUNDS = int(os.environ.get("ROUNDS", "15"))
SAMPLES = Path(__file__).parent.parent / "buildpacks"
APPS = Path(__file__).parent.parent / "tests" / "apps"


def main() -> None:
    """Print one row per kind of push."""
    print(f"{os.cpu_count()} cores, kernel {os.uname().release}; medians of {ROUNDS} pushes, ms")
    print(f"{'':34}{'push->live':>11}{'p95':>7}{'floor':>8}{'ratio':>7}{'goal':>7}")
    with serving() as server:
        flask(server)
        express(server)
        for count in (50, 1_000, 10_000):
            static(server, count)
        for count in (50, 10_000):
            flask(server, files=count)
        first_push(server)
        big_push(server)


def flask(server: Server, files: int = 0) -> None:
    """A Flask app under gunicorn by Procfile."""
    project = server.create(f"flask-{files}")
    project.write(
        {
            "requirements.txt": "flask==3.1.0\ngunicorn==23.0.0\n",
            "Procfile": "web: gunicorn app:app --bind 0.0.0.0:$PORT\n",
            "app.py": FLASK.format(0),
            **{f"data/{n % 100}/{n}.txt": str(n) for n in range(files)},
        }
    )
    project.commit()
    project.push()
    times = rounds(project, "app.py", FLASK)
    venv = next((server.data / "data/apps").glob("*/layers/*/python/venv"))
    start = bare_start(
        [str(venv / "bin/python"), str(venv / "bin/gunicorn"), "app:app", "--bind", "127.0.0.1:{port}"],
        project.directory,
    )
    row(f"Flask + gunicorn, {files or 4} files", times, plain_push(project, "app.py", FLASK) + start, 250)


def express(server: Server) -> None:
    """An Express app."""
    project = server.create("express-app")
    project.write(
        {
            "package.json": '{"name":"x","version":"1.0.0","dependencies":{"express":"4.21.2"},'
            '"scripts":{"start":"node server.js"}}',
            "server.js": EXPRESS.format(0),
        }
    )
    npm = ["npm", "install", "--package-lock-only", "--no-audit", "--no-fund"]
    subprocess.run(npm, cwd=project.directory, check=True, capture_output=True)
    project.commit()
    project.push()
    times = rounds(project, "server.js", EXPRESS)
    subprocess.run(["npm", "ci"], cwd=project.directory, check=True, capture_output=True)
    (project.directory / ".gitignore").write_text("node_modules\n")
    start = bare_start(["node", "server.js"], project.directory)
    row("Express", times, plain_push(project, "server.js", EXPRESS) + start, 200)


def static(server: Server, count: int) -> None:
    """A static site with one file changed."""
    project = server.create(f"static-{count}")
    project.write({f"pages/{n % 100}/{n}.html": f"<p>{n}" * 20 for n in range(count)})
    project.write({"index.html": STATIC.format(0)}).commit()
    project.push()
    times = rounds(project, "index.html", STATIC)
    row(f"static, {count} files, one changed", times, plain_push(project, "index.html", STATIC), 80)


def first_push(server: Server) -> None:
    """The first push of a Flask app; packages come from the registry or a cache on the way."""
    times = []
    for number in range(3):
        project = server.create(f"first-{number}")
        project.write(
            {
                "requirements.txt": "flask==3.1.0\ngunicorn==23.0.0\n",
                "Procfile": "web: gunicorn app:app --bind 0.0.0.0:$PORT\n",
                "app.py": FLASK.format(0),
            }
        ).commit()
        start = time.perf_counter()
        project.push()
        times.append(time.perf_counter() - start)
    row("Flask, first push of an app", times, 0, 1500)


def big_push(server: Server) -> None:
    """5,000 files, 30 MB, as a first push: beside a plain push of the same."""
    project = server.create("big")
    files = {f"d{n % 50}/{n}.bin": os.urandom(3000).hex() for n in range(5_000)}
    project.write({**files, "index.html": "x"}).commit()
    start = time.perf_counter()
    project.push()
    took = time.perf_counter() - start
    with plain_server() as url:
        start = time.perf_counter()
        project.git("push", "-q", url, "main")
        floor = time.perf_counter() - start
    row("5,000 files, 30 MB, first push", [took], floor, floor * 1300)


def rounds(project: Project, name: str, template: str) -> list[float]:
    """Seconds from the start of the push to the first new response, of each round."""
    times = []
    for number in range(1, ROUNDS + 2):
        project.write({name: template.format(number)}).commit()
        seen = threading.Event()
        start = time.perf_counter()
        at: list[float] = []
        prober = threading.Thread(target=probe, args=(project, f"release {number}.", seen, at))
        prober.start()
        project.push()
        seen.wait(10)
        prober.join()
        times.append(at[0] - start)
        time.sleep(0.3)
    return times[1:]


def probe(project: Project, wanted: str, seen: threading.Event, at: list[float]) -> None:
    host = f"{project.name}.localhost:{project.server.http_port}"
    deadline = time.perf_counter() + 10
    connection = http.client.HTTPConnection("127.0.0.1", project.server.http_port, timeout=5)
    while time.perf_counter() < deadline:
        connection.request("GET", "/", headers={"Host": host})
        if wanted in connection.getresponse().read().decode(errors="replace"):
            at.append(time.perf_counter())
            seen.set()
            break
        time.sleep(0.002)
    connection.close()


def plain_push(project: Project, name: str, template: str) -> float:
    """Seconds of a plain `git push` of a one-line change, median."""
    times = []
    with plain_server() as url:
        project.git("push", "-q", url, "main")
        for number in range(ROUNDS):
            project.write({name: template.format(1000 + number)}).commit()
            start = time.perf_counter()
            project.git("push", "-q", url, "main")
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def bare_start(argv: list[str], directory: Path) -> float:
    """Seconds from the start of the program to its first answer, median."""
    times = []
    for _ in range(ROUNDS):
        port = free_port()
        env = {"PATH": os.environ["PATH"], "PORT": str(port), "HOME": str(directory)}
        start = time.perf_counter()
        process = subprocess.Popen(
            [word.format(port=port) for word in argv],
            cwd=directory,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not _answers(port):
            time.sleep(0.002)
        times.append(time.perf_counter() - start)
        process.terminate()
        process.wait()
    return statistics.median(times)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        return bool(connection.recv(100))
    return False


@contextlib.contextmanager
def plain_server() -> Iterator[str]:
    """`git http-backend` on a bare repository, behind the smallest server that works."""
    root = Path(tempfile.mkdtemp())
    subprocess.run(["git", "init", "-q", "--bare", root / "plain.git"], check=True)
    subprocess.run(["git", "-C", root / "plain.git", "config", "http.receivepack", "true"], check=True)

    class Backend(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            self._serve(self._body())

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _serve(self, body: bytes) -> None:
            path, _, query = self.path.partition("?")
            env = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "REMOTE_USER": "bench",
            }
            done = subprocess.run(
                ["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE, check=True
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            self.send_response(200)
            for line in head.decode().split("\r\n"):
                name, _, value = line.partition(": ")
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/plain.git"
    finally:
        server.shutdown()
        server.server_close()
        shutil.rmtree(root)


def row(name: str, times: list[float], floor: float, goal: float) -> None:
    """One line of the table."""
    p50 = statistics.median(times) * 1000
    p95 = sorted(times)[int(len(times) * 0.95)] * 1000
    ratio = f"{p50 / floor / 1000:.2f}" if floor else "-"
    print(f"{name:34}{p50:11.0f}{p95:7.0f}{floor * 1000:8.0f}{ratio:>7}{goal:7.0f}", flush=True)


FLASK = """from flask import Flask

app = Flask(__name__)


@app.get("/")
def index():
    return "release {}."
"""
EXPRESS = """const app = require('express')();
app.get('/', (request, response) => response.send('release {}.'));
app.listen(process.env.PORT, '0.0.0.0');
"""
STATIC = "<h1>release {}.</h1>\n"

if __name__ == "__main__":
    main()
