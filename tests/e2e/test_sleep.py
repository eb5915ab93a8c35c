"""An idle app is frozen, and nobody who asks for it notices."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.server import Project, wait_for
from tests.e2e.test_push import app


def state(project: Project) -> str:
    """What `ps` says of the web process."""
    found = project.server.api("GET", f"/apps/{project.name}/processes").json()
    return str(found[0]["state"])


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


def test_no_request_is_lost_to_an_app_that_keeps_falling_asleep(project: Project) -> None:
    project.deploy(app("here"))
    sleep_after(project, 1)
    failed: list[str] = []
    slept = threading.Event()

    def ask(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(12):
            time.sleep(chance.uniform(0.5, 2.5))
            answer = project.get()
            if answer.text != "here":
                failed.append(f"{answer.status_code} {answer.text[:80]}")

    with ThreadPoolExecutor(2) as pool:
        asking = pool.map(ask, range(2))
        wait_for(lambda: state(project) == "frozen" or slept.is_set(), 30, "it never fell asleep")
        list(asking)
    assert failed == []


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
