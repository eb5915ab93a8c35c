"""What an app says about its health in hostd.toml, and workers that are replaced without overlap."""

from tests.e2e.server import Project, wait_for
from tests.e2e.test_bad_apps import files, logs

SERVE = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = self.path != "/readyz" or READY
        body = b"all is well" if ready else b"the database is not there yet"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""
READY = '[health]\npath = "/readyz"\nexpect = "all is well"\ntimeout_seconds = 3\n'
FRAGILE = """
import http.server, os
broken = False
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global broken
        broken = broken or self.path == "/break"
        self.send_response(500 if broken and self.path != "/break" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""
ALIVE = '[health]\nliveness = "/alive"\ninterval_seconds = 1\nfailures = 2\n'
WORKER = """
import fcntl, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), print("worker done", flush=True), sys.exit(0)))
print("worker RELEASE begins", flush=True)
time.sleep(1000)
"""


def test_an_app_that_does_not_answer_as_it_said_is_refused_with_its_answer(project: Project) -> None:
    ready = {**files("exec python3 program", SERVE.replace("READY", "True")), "hostd.toml": READY}
    project.deploy(ready)
    pushed = project.deploy({"program": SERVE.replace("READY", "False")}, status=None)
    assert pushed.status == 1
    reason = "web answers without 'all is well' on /readyz after 3 s; its answer begins: the database is not"
    assert reason in pushed.output
    release = project.server.api("GET", f"/apps/{project.name}/releases").json()[0]
    assert reason in release["failure"]
    assert project.get("/readyz").text == "all is well"


def test_a_worker_without_overlap_ends_before_the_next_begins(project: Project) -> None:
    app = {
        "Procfile": "web: exec python3 program\nworker: exec python3 worker\n",
        "program": SERVE.replace("READY", "True"),
        "worker": WORKER.replace("RELEASE", "1"),
        "hostd.toml": "[processes.worker]\noverlap = false\n",
    }
    project.deploy(app)
    pushed = project.deploy({"worker": WORKER.replace("RELEASE", "2")})
    assert "stopping worker of v1 first: no overlap" in pushed.output

    def said() -> list[str]:
        lines = project.server.api("GET", f"/apps/{project.name}/logs?process=worker").text.splitlines()
        return [line.partition(": ")[2] for line in lines if "worker " in line]

    wait_for(lambda: len(said()) == 3, 10, "the workers did not say what they do")
    assert said() == ["worker 1 begins", "worker done", "worker 2 begins"]


def test_an_instance_that_breaks_is_replaced(project: Project) -> None:
    project.deploy({**files("exec python3 program", FRAGILE), "hostd.toml": ALIVE})
    project.server.api("PATCH", f"/apps/{project.name}/formation", json={"web": 2})
    assert project.get("/break").status_code == 200

    def web() -> list[dict[str, str]]:
        found: list[dict[str, str]] = project.server.api("GET", f"/apps/{project.name}/processes").json()
        return found

    wait_for(lambda: "is replaced" in logs(project), 20, "it was not replaced")
    assert [each["state"] for each in web()] == ["running", "running"]
    assert [project.get().status_code for _ in range(10)] == [200] * 10
    assert "is unhealthy: it answers 500 on /alive, 2 times in a row" in logs(project)
