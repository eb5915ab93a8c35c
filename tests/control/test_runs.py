"""Runs: what is started, what is refused, and what becomes of them when people leave, apps go or hostd restarts."""

import asyncio
from dataclasses import replace

import pytest

from hostd.control.apps import create_app, destroy_app, production_of
from hostd.control.reconcile import recover
from hostd.control.runs import adopt_runs, run_detached, sit_at, stop_run, unfollow
from hostd.errors import Conflict, Invalid, LimitExceeded, NotFound
from hostd.model.instance import Exit
from hostd.model.run import Run, RunLimits, RunState, Wanted
from hostd.model.task import Size
from hostd.store import runs, users
from tests.control.house import House, image_of
from tests.eventually import until


class Person:
    """Types nothing; `screen` is what they saw."""

    size: Size | None = None

    def __init__(self) -> None:
        self.screen = ""
        self.begun: list[str] = []

    async def take(self) -> bytes | Size:
        await asyncio.Event().wait()
        raise AssertionError

    async def give(self, data: bytes, is_error: bool) -> None:
        self.screen += data.decode()

    async def told(self, run: Run) -> None:
        self.begun.append(run.name)


def wanted(*words: str, release: int | None = None) -> Wanted:
    return Wanted(words, {}, release)


async def sit(house: House, person: Person, *words: str, release: int | None = None) -> Exit:
    return await sit_at(
        house.platform,
        house.app,
        house.production,
        house.ada,
        wanted(*words, release=release),
        person,
        person.told,
    )


async def detach(house: House, *words: str, **env: str) -> Run:
    return await run_detached(house.platform, house.app, house.production, house.ada, Wanted(words, env))


async def stored(house: House, run_id: int) -> Run:
    return await house.platform.db.read(runs.by_id, run_id)


async def test_a_run_ends_with_the_status_of_its_command_and_both_are_kept(house: House) -> None:
    await house.deploy()
    person = Person()
    assert await sit(house, person, "echo hello; exit 3") == Exit(3)
    assert (person.screen, person.begun) == ("hello\n", ["run.1"])
    run = await stored(house, 1)
    assert (run.state, run.exit, run.author, run.release) == (RunState.ENDED, Exit(3), "ada", 1)
    assert [line.text for line in house.logged if line.process == "run"] == [
        "started by ada in v1: echo hello; exit 3",
        "exited with status 3",
    ]


async def test_a_run_has_the_image_config_and_limits_of_its_release(house: House) -> None:
    await house.deploy(image_of({"hostd.limits.memory-mb": "64"}))
    await sit(house, Person(), "exit 0")
    task = house.engine.tasks[-1]
    assert (task.tenant, task.limits.memory_mb, task.limits.seconds) == (house.app.id, 64, 24 * 3600)
    assert (task.env["HOSTD_PROCESS"], task.env["HOSTD_RELEASE"]) == ("run", "v1")


async def test_a_run_of_an_earlier_release(house: House) -> None:
    await house.deploy(image_of(web="serve 200", say="echo one"))
    await house.deploy(image_of(web="serve 200", say="echo two"))
    person = Person()
    await sit(house, person, "say")
    await sit(house, person, "say", release=1)
    assert person.screen == "two\none\n"


async def test_nothing_runs_before_the_first_push_or_of_a_release_that_is_not_there(house: House) -> None:
    with pytest.raises(Conflict, match="nothing is deployed yet"):
        await sit(house, Person(), "exit 0")
    await house.deploy()
    with pytest.raises(NotFound, match="no release v9"):
        await sit(house, Person(), "exit 0", release=9)


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"A": "\U0001f600" * 8193}, "longer than 32768 bytes"),
        ({"1A": ""}, "not a name"), ({"HOSTD_X": ""}, "reserved"), ({"PORT": "1"}, "reserved"),
        ({"A": "\0"}, "NUL"), ({f"A{i}": "" for i in range(101)}, "more than 100"),
    ],
)  # fmt: skip
async def test_variables_that_break_the_rules_are_refused(
    house: House, env: dict[str, str], words: str
) -> None:
    await house.deploy()
    with pytest.raises(Invalid, match=words):
        await detach(house, "exit 0", **env)


async def test_an_app_has_so_many_runs_at_once(house: House) -> None:
    house.platform = replace(house.platform, run_limits=RunLimits(at_once=2))
    await house.deploy()
    for _ in range(2):
        await detach(house, "sleep 60")
    with pytest.raises(LimitExceeded, match="2 commands of this app run already"):
        await detach(house, "sleep 60")
    await stop_run(house.platform, house.app, house.production, house.ada, 1)
    await until(lambda: 1 not in house.platform.following)
    await detach(house, "exit 0")


async def test_whoever_leaves_ends_their_run(house: House) -> None:
    await house.deploy()
    sitting = asyncio.create_task(sit(house, Person(), "sleep 60"))
    await until(lambda: 1 in house.platform.following)
    sitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sitting
    assert (await stored(house, 1)).exit == Exit(137)


async def test_a_run_that_somebody_sits_at_can_be_stopped_by_another(house: House) -> None:
    await house.deploy()
    sitting = asyncio.create_task(sit(house, Person(), "sleep 60"))
    await until(lambda: 1 in house.platform.following)
    await stop_run(house.platform, house.app, house.production, house.ada, 1)
    with pytest.raises(Conflict, match=r"run\.1 was stopped"):
        await sitting


async def test_what_is_left_to_itself_is_followed_by_the_next_hostd(house: House) -> None:
    await house.deploy()
    await detach(house, "echo one; sleep 0.5; exit 4")
    await detach(house, "echo two; exit 5")
    await unfollow(house.platform)
    keeper = house.platform.keepers.pop(house.production.id)
    await keeper.let_go()
    await adopt_runs(house.platform)
    await recover(house.platform)
    await until(lambda: not house.platform.following)
    first, second = await stored(house, 1), await stored(house, 2)
    assert (first.exit, second.exit) == (Exit(4), Exit(5))
    assert await house.platform.db.read(runs.output_of, 1) == "one\n"


async def test_a_run_is_over_after_its_seconds(house: House) -> None:
    house.platform = replace(house.platform, run_limits=RunLimits(seconds=0))
    await house.deploy()
    run = await detach(house, "sleep 60")
    await until(lambda: not house.platform.following)
    assert (await stored(house, run.id)).exit == Exit(143, "seconds")


async def test_destroying_the_app_ends_its_runs(house: House) -> None:
    await house.deploy()
    sitting = asyncio.create_task(sit(house, Person(), "sleep 60"))
    await detach(house, "sleep 60")
    await until(lambda: len(house.platform.following) == 2)
    await destroy_app(house.platform, house.app, house.ada, "shop")
    with pytest.raises(Conflict):
        await sitting
    assert house.engine.running == []
    assert not house.platform.following


async def test_nothing_runs_of_an_app_that_is_destroyed_while_a_run_begins(house: House) -> None:
    await house.deploy()
    person = Person()

    async def destroyed(run: Run) -> None:
        await destroy_app(house.platform, house.app, house.ada, "shop")

    person.told = destroyed  # type: ignore[method-assign]
    with pytest.raises(NotFound):
        await sit(house, person, "exit 0")
    assert house.engine.tasks == []
    assert not house.platform.following


async def test_what_the_engine_cannot_start_has_ended(house: House) -> None:
    await house.deploy()
    house.engine.refuse["run"] = "no room left on this machine"
    with pytest.raises(Exception, match="no room left"):
        await detach(house, "exit 0")
    assert (await stored(house, 1)).exit == Exit(126)
    assert await house.platform.db.read(runs.output_of, 1) == "no room left on this machine\n"


async def test_runs_of_other_peoples_apps_are_not_there(house: House) -> None:
    await house.deploy()
    await detach(house, "exit 0")
    bob = await house.platform.db.call(users.create, "bob", False, house.clock[0])
    with pytest.raises(NotFound, match="there is no app 'shop'"):
        await run_detached(house.platform, house.app, house.production, bob, wanted("id"))
    other = await create_app(house.platform, bob, "other")
    production = await production_of(house.platform, other)
    with pytest.raises(NotFound, match="there is no run 1"):
        await stop_run(house.platform, other, production, bob, 1)
