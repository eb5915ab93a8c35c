"""kill -9 of hostd at every step of what it does: whatever was said to be done is, and nothing is half done."""

import itertools
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Project, Server, serving, wait_for
from tests.e2e.test_life import awake
from tests.e2e.test_push import app

ROOT = Path(__file__).parents[2]
OLD, NEW = "one", "two"
_numbers = itertools.count(101)  # three digits: no name is part of another

# Each step of a push in its order, and the Release that serves after hostd is back.
PUSH = [
    ("hostd.git.repos:Repositories.export:after", OLD),
    ("hostd.store.releases:create:before", OLD),
    ("hostd.store.releases:create:after", OLD),  # within the transaction
    ("hostd.control.rollout:rollout:before", OLD),
    ("hostd.control.launching:run_release_command:after", OLD),
    ("hostd.engine.local:LocalEngine.start:after", OLD),
    ("hostd.control.keeper:Keeper.publish:before", OLD),
    ("hostd.control.keeper:Keeper.publish:after", OLD),  # the router has it, the store does not
    ("hostd.control.rollout:_go_live:after", OLD),  # within the transaction
    ("hostd.control.keeper:Keeper.let_go:before", NEW),
    ("hostd.control.rollout:drain:before", NEW),
    ("hostd.engine.local:LocalEngine.freeze:before", NEW),
]


class Killed:
    """A Server that can be told where to die."""

    def __init__(self, server: Server, point: Path) -> None:
        self.server = server
        self._point = point

    @contextmanager
    def at(self, point: str) -> Iterator[None]:
        """hostd is killed at `point` of what is done within, and started again after."""
        self._point.write_text(point)
        try:
            yield
            process = self.server.process
            assert process
            wait_for(lambda: process.poll() is not None, 20, f"{point} was never reached")
        finally:
            self._point.unlink()
        self.server.start()


@pytest.fixture(scope="module")
def killed() -> Iterator[Killed]:
    with tempfile.TemporaryDirectory() as place:
        point = Path(place) / "point"
        with serving(
            sys.executable,
            "-P",
            "-m",
            "tests.e2e.killed_at",
            KILLED_AT=str(point),
            PYTHONPATH=str(ROOT),
        ) as server:
            yield Killed(server, point)


@pytest.fixture
def shop(killed: Killed) -> Project:
    """A new App on the one Server."""
    return killed.server.create(f"shop-{next(_numbers)}")


def _rests(shop: Project, count: int) -> None:
    """So many Instances are awake, of all its Environments."""

    def those() -> list[str]:
        return [name for name in awake(shop.server) if shop.name in name]

    wait_for(lambda: len(those()) == count, 30, lambda: f"Instances that nobody wants are left: {those()}")


@pytest.mark.parametrize(("point", "serves"), PUSH, ids=[point for point, _ in PUSH])
def test_a_push_is_whole_or_absent(killed: Killed, shop: Project, point: str, serves: str) -> None:
    release = {"Procfile": "web: exec python3 server.py\nrelease: true\n"}
    shop.deploy(app(OLD) | release)
    before = shop.tip()
    with killed.at(point):
        pushed = shop.deploy(app(NEW) | release, status=None)
    assert shop.get().text == serves
    answered = pushed.status == 0  # the last steps come after the answer
    assert shop.tip() == (shop.git("rev-parse", "HEAD") if answered else before)
    states = {
        row["number"]: row["state"] for row in killed.server.api("GET", f"/apps/{shop.name}/releases").json()
    }
    assert sorted(states.values()).count("live") == 1
    assert set(states.values()) <= {"live", "retired", "failed"}
    if not answered:
        assert "is running" in shop.push().output
    assert shop.get().text == NEW
    _rests(shop, 1)


@pytest.mark.parametrize(
    ("point", "serves"),
    [
        ("hostd.control.rollout:rollout:before", ""),
        ("hostd.control.rollout:_go_live:after", ""),
        ("hostd.control.rollout:drain:before", "x"),
    ],
)
def test_config_that_is_stored_is_what_the_app_has(
    killed: Killed, shop: Project, point: str, serves: str
) -> None:
    shop.deploy(
        {**app(""), "server.py": app("")["server.py"].replace("''.encode", "os.environ.get('X', '').encode")}
    )
    with killed.at(point), suppress(httpx.TransportError):
        killed.server.api("PATCH", f"/apps/{shop.name}/config", json={"X": "x"})
    config = killed.server.api("GET", f"/apps/{shop.name}/config").json()
    assert shop.get().text == serves
    assert ("X" in str(config)) == bool(serves)
    _rests(shop, 1)


def test_a_preview_that_was_cut_off_is_gone(killed: Killed, shop: Project) -> None:
    shop.deploy(app(OLD))
    shop.git("checkout", "-qb", "topic")
    shop.write(app(NEW)).commit()
    with killed.at("hostd.control.rollout:rollout:before"):
        shop.push("hostd", "topic", status=1)
    assert killed.server.get(f"topic--{shop.name}").status_code == 404
    assert killed.server.api("GET", f"/apps/{shop.name}/previews").json() == []
    shop.push("hostd", "topic")
    assert killed.server.get(f"topic--{shop.name}").text == NEW


def _files(server: Server) -> set[Path]:
    """The places of all Apps."""
    return {*(server.data / "data").glob("apps/*"), *(server.data / "data").glob("repositories/*")}


@pytest.mark.parametrize("what", ["preview", "app"])
def test_what_was_being_destroyed_is_gone(killed: Killed, what: str) -> None:
    files = _files(killed.server)
    shop = killed.server.create(f"gone-{what}")
    shop.deploy(app(OLD))
    shop.git("checkout", "-qb", "topic")
    shop.push("hostd", "topic")
    with killed.at("hostd.control.removal:remove_all_of:before"), suppress(httpx.TransportError):
        if what == "preview":
            killed.server.api("DELETE", f"/apps/{shop.name}/previews?preview=topic")
        else:
            killed.server.api("DELETE", f"/apps/{shop.name}?confirm={shop.name}")
    assert killed.server.get(f"topic--{shop.name}").status_code == 404
    assert shop.get().status_code == (200 if what == "preview" else 404)
    _rests(shop, 1 if what == "preview" else 0)
    if what == "app":
        wait_for(lambda: _files(killed.server) == files, 10, "its files are left")


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_app_whose_creation_was_cut_off_can_be_pushed_to_or_created_again(
    killed: Killed, when: str
) -> None:
    with killed.at(f"hostd.git.repos:Repositories.create:{when}"), suppress(httpx.TransportError):
        killed.server.api("POST", "/apps", json={"name": f"cut-{when}"})
    assert killed.server.api("POST", "/apps", json={"name": f"cut-{when}"}).status_code in (201, 409)
    shop = Project(killed.server, f"cut-{when}", Path(tempfile.mkdtemp(dir=killed.server.data))).init()
    shop.deploy(app(NEW))
    assert shop.get().text == NEW
