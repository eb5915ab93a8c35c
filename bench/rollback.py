"""From asking for a rollback to the first response of the release gone back to, beside a bare start of the same app.

Back to the release before, which is thawed; and back to the one before that, which is started from its image as any
other rollout does.
"""

import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.push import FLASK, bare_start, probe, row
from tests.e2e.server import Project, serving

ROUNDS = int(os.environ.get("ROUNDS", "15"))
GOAL = 150  # ms
FROZEN_IN = 1.0  # seconds: by then what was replaced is frozen


def main() -> None:
    """Print one row per kind of rollback."""
    print(f"{os.cpu_count()} cores, kernel {os.uname().release}; medians of {ROUNDS} rollbacks, ms")
    print(f"{'':34}{'live':>11}{'p95':>7}{'floor':>8}{'ratio':>7}{'goal':>7}")
    with serving() as server:
        project = server.create("flask-back")
        for number in range(3):
            project.write(
                {
                    "requirements.txt": "flask==3.1.0\ngunicorn==23.0.0\n",
                    "Procfile": "web: gunicorn app:app --bind 0.0.0.0:$PORT\n",
                    "app.py": FLASK.format(number),
                }
            ).commit()
            project.push()
        venv = next((server.data / "data/apps").glob("*/layers/*/python/venv"))
        floor = bare_start(
            [str(venv / "bin/python"), str(venv / "bin/gunicorn"), "app:app", "--bind", "127.0.0.1:{port}"],
            project.directory,
        )
        row("rollback, thawed", rounds(project, [2, 1]), floor, GOAL)
        row("rollback, started from the image", rounds(project, [0, 1, 2]), floor, 0)


def rounds(project: Project, order: list[int]) -> list[float]:
    """Seconds of each rollback; `order` are the contents to go back to in turn, what runs last in it."""
    times = []
    for number in range(ROUNDS + len(order)):
        wanted = order[number % len(order)]
        time.sleep(FROZEN_IN)
        if wanted != current(project):
            times.append(back(project, wanted))
    return times[1:]


def back(project: Project, wanted: int) -> float:
    """Seconds from the request to the first new response."""
    seen, at = threading.Event(), list[float]()
    prober = threading.Thread(target=probe, args=(project, f"release {wanted}.", seen, at))
    start = time.perf_counter()
    prober.start()
    body = {"number": wanted + 1, "pause": False}
    answer = project.server.api("POST", f"/apps/{project.name}/rollback", json=body)
    assert '"result"' in answer.text, answer.text
    prober.join()
    return at[0] - start


def current(project: Project) -> int:
    """The number in what the app answers."""
    return int(project.get().text.removeprefix("release ").rstrip("."))


if __name__ == "__main__":
    main()
