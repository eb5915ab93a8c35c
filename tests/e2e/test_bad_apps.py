"""Apps that misbehave when they run: the push says what they did, and the Release before goes on serving."""

import pytest

from tests.e2e.server import Project, wait_for

SHORT = {"hostd.toml": "[health]\ntimeout_seconds = 3\n"}
SERVE = "exec python3 -m http.server -d /usr/share/common-licenses"
GOOD = {"Procfile": f"web: {SERVE} $PORT\n"}


def running(project: Project) -> int:
    """How many Instances of the App there are."""
    records = project.server.data / "data/run/engine/instances"
    return sum(1 for path in records.iterdir() if path.name.startswith(f"{project.name}-"))


def logs(project: Project) -> str:
    """The App's log."""
    return project.server.api("GET", f"/apps/{project.name}/logs?lines=1000").text


NOT_HEALTHY = {
    "never listens": ("exec sleep 1000", "web did not listen on port 5000 within 3 s; it listens on nothing"),
    "listens on another port": (f"{SERVE} 5999", "it listens on 0.0.0.0:5999"),
    "listens on loopback only": (f"{SERVE} -b 127.0.0.1 $PORT", "it listens on 127.0.0.1:5000"),
    "ends well but at once": ("true", "web exited with status 0 before it listened"),
    "ends badly": ("echo no luck; exit 7", "web exited with status 7 before it listened"),
    "is killed by itself": ("kill -SEGV $$", "web exited with status 139 before it listened"),
    "is no program": ("exec ./nothing-here", "nothing-here"),
    "takes no requests": ("exec nc -lk $PORT", "gives no answer within"),
    "speaks no HTTP": ("while :; do echo hello | nc -Nl $PORT; done", "does not speak HTTP"),
    "fails at every request": (
        "exec python3 -c 'import http.server as h, os; h.HTTPServer((\"\", int(os.environ[\"PORT\"])),"
        " type(\"H\", (h.BaseHTTPRequestHandler,), {\"do_GET\": lambda s: s.send_error(503)})).serve_forever()'",
        "answers 503",
    ),
    "eats memory": (
        "exec python3 -c 'import time\nx = []\nwhile True: x.append(bytearray(10**7))'".replace("\n", r"\n"),
        "memory",
    ),
}


@pytest.mark.parametrize(("command", "words"), NOT_HEALTHY.values(), ids=NOT_HEALTHY)
def test_an_app_that_does_not_get_healthy_is_told_why_and_leaves_nothing(
    project: Project, command: str, words: str
) -> None:
    pushed = project.deploy({**SHORT, "Procfile": f"web: {command}\n"}, status=1)
    print(pushed.output)
    assert words in pushed.output
    assert "! [remote rejected] main -> main (release failed:" in pushed.output
    assert running(project) == 0
    assert project.get().headers["X-Hostd-Error"] == "H81"
