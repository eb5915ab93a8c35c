"""`hostd run` against a real server: what travels, what is refused and how that is told."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from hostd.control.apps import create_app, production_of
from hostd.control.rollout import rollout
from hostd.store import releases, users
from hostd.transcript import Transcript
from tests.cli.conftest import Person, Server
from tests.control.house import image_of


@pytest.fixture(scope="module")
def shop(server: Server) -> str:
    """An App of ada's that is deployed; its commands are in the language of FakeEngine."""

    async def made() -> None:
        platform = server.platform
        ada = await platform.db.read(users.by_name, "ada")
        app = await create_app(platform, ada, "run-here")
        production = await production_of(platform, app)
        image, secret = image_of(), platform.secrets.encrypt_mapping({})
        release = await platform.db.call(
            releases.create, production.id, image, secret, "c" * 40, "a push", "ada", platform.now(), {}
        )
        await rollout(platform, production, release, Transcript())

    asyncio.run_coroutine_threadsafe(made(), server.loop).result(20)
    return "run-here"


@contextmanager
def socket(server: Server, app: str, **headers: str) -> Iterator[ClientConnection]:
    """A WebSocket to the route of `hostd run`."""
    url = server.url.replace("http", "ws") + f"/api/v1/apps/{app}/run"
    given = {"Authorization": f"Bearer {server.token}"} | headers
    with connect(url, additional_headers=given, proxy=None) as made:
        yield made


def test_output_errors_and_status_come_back(ada: Person, shop: str) -> None:
    done = ada.run("run", "-a", shop, "echo hello; echo oops >&2; exit 3", status=3)
    assert (done.stdout, done.stderr) == ("hello\n", "oops\n")
    done = ada.run("run", "-a", shop, "cat", into="one\ntwo\n")
    assert done.stdout == "one\ntwo\n"


def test_what_was_run_is_listed(ada: Person, shop: str) -> None:
    ada.run("run", "-a", shop, "--", "exit", "4", status=4)
    told = json.loads(ada.run("runs", "-a", shop, "--json").stdout)[0]
    assert (told["command"], told["status"], told["author"], told["state"]) == ("exit 4", 4, "ada", "ended")
    assert "exit 4" in ada.run("runs", "-a", shop).stdout


def test_a_detached_run_is_started_and_can_be_stopped(ada: Person, shop: str) -> None:
    name = ada.run("run", "-a", shop, "--detach", "sleep 600").stdout.strip()
    number = name.removeprefix("run.")
    ada.run("runs", "-a", shop, "stop", number)
    assert ada.run("runs", "-a", shop, "output", number).stdout == ""
    assert "there is no run 99999" in ada.run("runs", "-a", shop, "stop", "99999", status=3).stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--env", "A", "id"), 2, "has no ="),
        (("--release", "latest", "id"), 2, "is no release"),
        (("--release", "v77", "id"), 3, "there is no release v77"),
        ((" ",), 2, "there is no command"),
        (("--env", "HOSTD_X=1", "id"), 2, "HOSTD_X is reserved"),
    ],
)
def test_what_cannot_be_run_is_said_why(
    ada: Person, shop: str, words: tuple[str, ...], status: int, said: str
) -> None:
    assert said in ada.run("run", "-a", shop, *words, status=status).stderr


def test_an_app_of_nobody_is_not_there(ada: Person) -> None:
    assert "there is no app 'nothing-here'" in ada.run("run", "-a", "nothing-here", "id", status=3).stderr


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Authorization": "Bearer hst_wrong"}, 401),
        ({"Authorization": ""}, 401),
    ],
)
def test_the_gate_refuses_before_it_opens(
    server: Server, shop: str, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused, socket(server, shop, **headers):
        pass
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body or b"")["code"] in ("forbidden", "unauthorized")


def test_hostds_own_pages_may_come_in(server: Server, shop: str) -> None:
    with socket(server, shop, Origin=server.platform.names.public_url) as made:
        made.send(json.dumps({"command": ["exit 5"]}))
        said = [json.loads(text) for text in made]
    assert said[-1]["ended"]["status"] == 5


@pytest.mark.parametrize(
    "first",
    [
        b"\x00", "", "{", "[]", '{"command": []}', '{"command": "id"}', '{"command": ["id"], "x": 1}',
        '{"command": ["id"], "terminal": {"columns": 0, "rows": 1}}', '{"command": ["id"], "release": -1}',
        '{"command": ["id"], "env": {"A": 1}}', '{"command": ["\\ud800"]}',
    ],
)  # fmt: skip
def test_a_first_message_that_makes_no_sense_is_refused(
    server: Server, shop: str, first: str | bytes
) -> None:
    with socket(server, shop) as made:
        made.send(first)
        assert json.loads(made.recv(10))["error"]["code"] == "invalid"


@pytest.mark.parametrize("text", ["{", "1", '{"size": {"columns": 1, "rows": 70000}}', '{"size": 1}'])
def test_a_message_that_makes_no_sense_ends_it(server: Server, shop: str, text: str) -> None:
    with socket(server, shop) as made:
        made.send(json.dumps({"command": ["cat"]}))
        made.send(text)
        said = [json.loads(message) for message in made]
    assert said[-1]["error"]["code"] == "invalid"
