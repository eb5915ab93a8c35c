"""Apps that misbehave when they run: the push says what they did, and the Release before goes on serving."""

import time

import pytest

from tests.e2e.server import Project, wait_for

LIMIT = {"hostd.toml": "[health]\ntimeout_seconds = 4\n"}
ANSWER = """
import http.server, os, socketserver, sys, threading, time
status = int(sys.argv[1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_): pass
class Server(socketserver.ThreadingMixIn, socketserver.TCPServer): pass
Server(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""
SOCKET = """
import os, socket, time
listener = socket.create_server(("0.0.0.0", int(os.environ["PORT"])))
while True:
    connection, _ = listener.accept()
    {what}
"""
EAT = "eaten = []\nwhile True: eaten.append(bytearray(10**7))\n"
FORK = "fork() { fork | fork & }; fork; exec sleep 1000\n"


def files(command: str, program: str = "") -> dict[str, str]:
    """An app that no buildpack knows, so that it is up at once. `program` is in Python."""
    return {**LIMIT, "Procfile": f"web: {command}\n", "program": program}


def running(project: Project, process: str) -> int:
    """How many Instances of a process type of the App there are."""
    records = project.server.data / "data/run/engine/instances"
    return sum(
        1 for path in records.iterdir() if path.name.startswith(f"{project.name}-production-{process}-")
    )


def logs(project: Project) -> str:
    """The App's log."""
    return project.server.api("GET", f"/apps/{project.name}/logs").text


PYTHON = "exec python3 program"
NOT_HEALTHY = {
    "never listens": ("exec sleep 1000", "", "it listens on nothing"),
    "listens on another port": ("exec python3 -m http.server 5999", "", "it listens on 0.0.0.0:5999"),
    "listens on loopback": (
        "exec python3 -m http.server -b 127.0.0.1 $PORT",
        "",
        "it listens on 127.0.0.1:8080",
    ),
    "ends well but at once": ("true", "", "web exited with status 0 before it listened"),
    "ends badly": ("echo no luck; exit 7", "", "web exited with status 7 before it listened"),
    "dies of a signal": ("kill -SEGV $$", "", "web exited with status 139 (SIGSEGV) before it listened"),
    "is no program": ("exec ./nothing-here", "", "nothing-here: "),
    "gives no answer": (
        PYTHON,
        SOCKET.format(what="time.sleep(1000)"),
        "web gives no answer within 3 s on /",
    ),
    "breaks off": (PYTHON, SOCKET.format(what="connection.close()"), "on / after 4 s"),
    "speaks no HTTP": (PYTHON, SOCKET.format(what='connection.send(b"hello\\n")'), "does not speak HTTP"),
    "speaks without end": (
        PYTHON,
        SOCKET.format(what="os.dup2(connection.fileno(), 1); os.system('yes 2>&-')"),
        "on / after 4 s",  # it breaks the connection, or speaks no HTTP
    ),
    "fails at every request": ("exec python3 program 503", ANSWER, "web answers 503 on / after 4 s"),
    "eats memory": (PYTHON, EAT, "web was killed: out of memory (R15) before it listened"),
    "forks without end": ("exec bash program", FORK, "web hit its limit of processes"),
    "prints 100 MB": ("head -c 100M /dev/zero | tr '\\0' 'x'; exit 1", "", "xxxxxxxx"),
    "prints what a terminal obeys": (r"printf '\033]0;x\007\033[2Jout\n\200\n'; exit 1", "", "out"),
}


@pytest.mark.parametrize(("command", "program", "words"), NOT_HEALTHY.values(), ids=NOT_HEALTHY)
def test_an_app_that_does_not_get_healthy_is_told_why_and_leaves_nothing(
    project: Project, command: str, program: str, words: str
) -> None:
    pushed = project.deploy(files(command, program), status=1)
    assert words in pushed.output
    assert "! [remote rejected] main -> main (release failed:" in pushed.output
    assert "\x1b]" not in pushed.output
    assert "\x1b[2J" not in pushed.output
    assert len(pushed.output) < 500_000
    assert running(project, "web") == 0
    assert project.get().headers["X-Hostd-Error"] == "H81"
    assert project.tip() == ""


def test_a_live_app_that_eats_memory_is_started_again_and_its_log_says_why(project: Project) -> None:
    program = ANSWER.replace("Server((", "threading.Timer(1, lambda: bytearray(10**10)).start()\nServer((")
    eater = program.replace("bytearray(10**10)", "[bytearray(10**7) for _ in iter(int, 1)].clear()")
    eater = eater.replace(
        "[bytearray(10**7) for _ in iter(int, 1)].clear()", "list(map(bytearray, [10**7] * 1000))"
    )
    project.deploy(files("exec python3 program 200", eater))
    wait_for(lambda: "web.1 was killed: out of memory (R15)" in logs(project), 20, lambda: logs(project))
    wait_for(lambda: project.get().status_code == 200, 20)


def test_a_live_app_that_prints_without_end_serves_and_its_log_counts_what_was_dropped(
    project: Project,
) -> None:
    print_on = "threading.Thread(target=lambda: [print('x' * 1000) for _ in iter(int, 1)]).start()\nServer(("
    project.deploy(files("exec python3 program 200", ANSWER.replace("Server((", print_on)))
    wait_for(lambda: "L10 dropped=" in logs(project), 30, "no flood was noticed")
    assert project.get().text == "ok"
    output = project.server.data / "data/run/output"
    assert sum(path.stat().st_size for path in output.iterdir()) < 100_000_000
    project.deploy(files("exec python3 program 200", ANSWER))


def test_an_app_that_ignores_sigterm_is_replaced_at_once_and_killed_after_its_grace(project: Project) -> None:
    deaf = "trap '' TERM; sleep 1000 & wait; sleep 1000"
    both = files("exec python3 program 200", ANSWER)
    project.deploy(both | {"Procfile": both["Procfile"] + f"worker: {deaf}\n"})
    started = time.monotonic()
    project.deploy(files("exec python3 program 201", ANSWER))
    assert time.monotonic() - started < 15
    assert project.get().status_code == 201
    wait_for(lambda: running(project, "worker") == 0, 60, "the deaf one was not killed")
    wait_for(lambda: "worker did not end within 30 s of SIGTERM and was killed (R12)" in logs(project), 5)
