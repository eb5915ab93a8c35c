"""What every engine keeps, the fake too. The commands are such that sh and the fake's little shell both know them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from hostd.engine.local import LocalEngine
from hostd.model.instance import Exit, Instance, InstanceSpec, Limits
from hostd.model.log import LogLine
from hostd.model.task import Size, Task
from tests.engine.places import Place
from tests.eventually import until
from tests.fakes import FakeEngine, FakeMachine, instance_spec

ENGINES = [pytest.param("local", marks=pytest.mark.root), "fake"]
DEADLINE = 20.0
AnyEngine = LocalEngine | FakeEngine


class Machine:
    """Makes engines that follow one another on the same machine."""

    def __init__(self, kind: str, here: Place) -> None:
        self._here = here
        self._fake = FakeMachine() if kind == "fake" else None
        self.image = here.image()

    def engine(self) -> AnyEngine:
        return FakeEngine(self._fake) if self._fake else self._here.engine()

    def spec(self, line: str, name: str = "web.1-aa") -> InstanceSpec:
        return instance_spec(("sh", "-c", line), id=name, image=self.image)

    def task(self, line: str, limits: Limits | None = None) -> Task:
        return Task(1, ("sh", "-c", line), {}, image=self.image, limits=limits or Limits())


@pytest.fixture(params=ENGINES)
def machine(request: pytest.FixtureRequest, here: Place) -> Machine:
    return Machine(request.param, here)


@pytest.fixture
async def engine(machine: Machine) -> AsyncIterator[AnyEngine]:
    engine = machine.engine()
    await engine.open()
    yield engine
    await engine.remove()


async def lines_until(engine: AnyEngine, enough: Callable[[list[LogLine]], bool]) -> list[LogLine]:
    found: list[LogLine] = []
    async with asyncio.timeout(DEADLINE), aclosing(engine.output()) as output:  # type: ignore[type-var]
        async for line in output:
            found.append(line)
            if enough(found):
                break
    return found


async def end_of(engine: AnyEngine, instance: Instance) -> Exit:
    async with asyncio.timeout(DEADLINE):
        return await engine.wait(instance)


async def test_the_report_has_a_name_and_says_what_is_missing(machine: Machine) -> None:
    engine = machine.engine()
    report = await engine.open()
    await engine.remove()
    assert report.name in ("local", "fake")
    assert report.lacks


async def test_an_instance_that_was_started_is_among_the_instances(
    engine: AnyEngine, machine: Machine
) -> None:
    instance = await engine.start(machine.spec("sleep 60"))
    assert [each.spec for each in await engine.instances()] == [instance.spec]


async def test_the_exit_status_is_the_commands(engine: AnyEngine, machine: Machine) -> None:
    instance = await engine.start(machine.spec("exit 3"))
    assert await end_of(engine, instance) == Exit(3)
    assert await engine.instances() == []


async def test_many_may_wait_for_one_end_and_also_after_it(engine: AnyEngine, machine: Machine) -> None:
    instance = await engine.start(machine.spec("sleep 0.1; exit 4"))
    ends = await asyncio.gather(*(end_of(engine, instance) for _ in range(3)))
    assert [*ends, await end_of(engine, instance)] == [Exit(4)] * 4


async def test_sigterm_ends_an_instance_within_its_grace(engine: AnyEngine, machine: Machine) -> None:
    instance = await engine.start(machine.spec("sleep 60"))
    assert await engine.stop(instance, 10.0)
    assert (await end_of(engine, instance)).status == 143
    assert await engine.instances() == []


async def test_an_instance_that_ignores_sigterm_is_killed_after_its_grace(
    engine: AnyEngine, machine: Machine
) -> None:
    instance = await engine.start(
        machine.spec("trap '' TERM; echo deaf; sleep 60; sleep 60; sleep 60; sleep 60")
    )
    await lines_until(engine, lambda lines: bool(lines))
    assert not await engine.stop(instance, 0.3)
    assert (await end_of(engine, instance)).status == 137


async def test_a_frozen_instance_is_known_as_such_by_the_next_engine_and_can_be_thawed(
    engine: AnyEngine, machine: Machine
) -> None:
    instance = await engine.start(machine.spec("sleep 600"))
    await engine.freeze(instance)
    await engine.freeze(instance)
    assert engine.frozen(instance)
    await engine.thaw(instance)
    assert not engine.frozen(instance)
    await engine.freeze(instance)
    await engine.close()
    await engine.open()
    assert engine.frozen(instance)


async def test_a_frozen_instance_can_be_stopped(engine: AnyEngine, machine: Machine) -> None:
    for number, grace in enumerate((10.0, 0.0)):
        instance = await engine.start(machine.spec("sleep 600", f"web.1-{number}"))
        await engine.freeze(instance)
        await engine.stop(instance, grace)
        assert await engine.instances() == []


async def test_what_is_reclaimed_stays_frozen_and_goes_on_when_thawed(
    engine: AnyEngine, machine: Machine
) -> None:
    instance = await engine.start(machine.spec("sleep 0.3; echo on; sleep 60"))
    assert not await engine.reclaim(instance)
    await engine.freeze(instance)
    await engine.reclaim(instance)  # not every machine has swap
    assert engine.frozen(instance)
    await engine.thaw(instance)
    (line,) = await lines_until(engine, lambda lines: bool(lines))
    assert line.text == "on"


async def test_what_was_said_before_a_freeze_and_after_it_is_told(
    engine: AnyEngine, machine: Machine
) -> None:
    line = "echo one; sleep 0.4; echo two; sleep 0.4; echo three; sleep 60"
    instance = await engine.start(machine.spec(line))
    found: list[str] = []

    async def read() -> None:
        found.extend(line.text for line in await lines_until(engine, lambda lines: len(lines) == 3))

    reading = asyncio.create_task(read())
    for _ in range(3):
        await asyncio.sleep(0.25)
        await engine.freeze(instance)
        await asyncio.sleep(0.25)
        await engine.thaw(instance)
    await reading
    assert found == ["one", "two", "three"]


async def test_the_memory_an_instance_holds_is_told_until_it_is_gone(
    engine: AnyEngine, machine: Machine
) -> None:
    instance = await engine.start(machine.spec("echo on; sleep 60"))
    await lines_until(engine, lambda lines: bool(lines))
    assert 0 < engine.held_mb(instance) <= 512
    assert engine.free_mb() > 0
    await engine.stop(instance, 0.0)
    assert engine.held_mb(instance) == 0


async def test_without_a_grace_an_instance_is_killed_at_once(engine: AnyEngine, machine: Machine) -> None:
    instance = await engine.start(machine.spec("sleep 60"))
    assert not await engine.stop(instance, 0.0)
    assert (await end_of(engine, instance)).status == 137


async def test_stopping_what_is_gone_is_no_fault(engine: AnyEngine, machine: Machine) -> None:
    instance = await engine.start(machine.spec("exit 0"))
    await end_of(engine, instance)
    assert await engine.stop(instance, 1.0)
    assert await engine.stop(instance, 1.0)


async def test_output_carries_where_a_line_is_from(engine: AnyEngine, machine: Machine) -> None:
    await engine.start(machine.spec("echo hello; sleep 60"))
    (line,) = await lines_until(engine, lambda lines: bool(lines))
    facts = (line.environment, line.source, line.process, line.instance, line.text)
    assert facts == ("shop-production", "app", "web", "web.1-aa", "hello")


async def test_the_last_lines_of_an_instance_that_died_at_once_are_there(
    engine: AnyEngine, machine: Machine
) -> None:
    instance = await engine.start(machine.spec("echo one; echo two; echo three; exit 1"))
    await end_of(engine, instance)
    assert engine.tail(instance.id, 2) == ["two", "three"]
    lines = await lines_until(engine, lambda lines: len(lines) == 3)
    assert [line.text for line in lines] == ["one", "two", "three"]


async def test_an_unknown_instance_has_no_last_lines(engine: AnyEngine) -> None:
    assert engine.tail("../../etc/passwd", 5) == []
    assert engine.tail("nobody", 5) == []


async def test_instances_outlive_their_engine_and_the_next_one_finds_them(
    engine: AnyEngine, machine: Machine
) -> None:
    instance = await engine.start(machine.spec("sleep 60"))
    await engine.close()
    following = machine.engine()
    await following.open()
    assert await following.instances() == [instance]
    assert await following.stop(instance, 10.0)
    assert (await end_of(following, instance)).status == 143
    await following.remove()


async def test_a_task_gives_its_lines_and_its_exit_status(engine: AnyEngine, machine: Machine) -> None:
    lines: list[str] = []
    assert await engine.run(machine.task("echo one; echo two; exit 5"), lines.append) == Exit(5)
    assert lines == ["one", "two"]


async def test_a_task_that_takes_too_long_is_ended(engine: AnyEngine, machine: Machine) -> None:
    limits = Limits(seconds=0.5)
    assert await engine.run(machine.task("sleep 60", limits), lambda line: None) == Exit(137, "seconds")


async def test_a_task_that_says_too_much_is_ended(engine: AnyEngine, machine: Machine) -> None:
    said = 0

    def count(line: str) -> None:
        nonlocal said
        said += len(line) + 1

    assert await engine.run(machine.task("yes", Limits(output_mb=1)), count) == Exit(137, "output")
    assert said <= 1 << 20


async def test_a_cancelled_task_is_over(engine: AnyEngine, machine: Machine) -> None:
    started = asyncio.Event()
    line = "echo here; sleep 60; exit 0"
    running = asyncio.create_task(engine.run(machine.task(line), lambda line: started.set()))
    async with asyncio.timeout(DEADLINE):
        await started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


class Person:
    """Somebody at a Console who types `typed`, then waits. `leaves`: goes once something was printed."""

    def __init__(self, *typed: bytes | Size, size: Size | None = None, leaves: bool = False) -> None:
        self.size = size
        self.read = ""
        self.errors = ""
        self._typed = iter(typed)
        self._leaves = leaves

    async def take(self) -> bytes | Size:
        for typed in self._typed:
            return typed
        await asyncio.Event().wait()
        raise AssertionError

    async def give(self, data: bytes, is_error: bool) -> None:
        if self._leaves:
            raise ConnectionResetError("gone")
        text = data.decode().replace("\r", "")
        self.read, self.errors = (
            (self.read, self.errors + text) if is_error else (self.read + text, self.errors)
        )


async def test_what_is_typed_goes_in_and_what_is_printed_comes_out(
    engine: AnyEngine, machine: Machine
) -> None:
    person = Person(b"one\n", b"two\n", b"")
    ended = await engine.converse(machine.task("cat; echo oops >&2; exit 3"), person)
    assert (ended, person.read, person.errors) == (Exit(3), "one\ntwo\n", "oops\n")


async def test_a_task_gets_a_terminal_of_the_size_that_its_person_has(
    engine: AnyEngine, machine: Machine
) -> None:
    person = Person(size=Size(80, 24))
    assert await engine.converse(machine.task("stty size"), person) == Exit(0)
    assert person.read == "24 80\n"
    person = Person(Size(132, 43), b"", size=Size(80, 24))
    assert await engine.converse(machine.task("cat; stty size"), person) == Exit(0)
    assert person.read == "43 132\n"


async def test_a_task_whose_person_leaves_is_over(engine: AnyEngine, machine: Machine) -> None:
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(ConnectionResetError):
            await engine.converse(machine.task("echo here; sleep 60; exit 0"), Person(leaves=True))


async def test_a_person_cannot_keep_a_task_longer_than_its_limit(engine: AnyEngine, machine: Machine) -> None:
    limits = Limits(seconds=0.5)
    assert await engine.converse(machine.task("cat", limits), Person()) == Exit(137, "seconds")


async def test_a_conversation_that_is_cancelled_is_over(engine: AnyEngine, machine: Machine) -> None:
    person = Person(size=Size(80, 24))
    talking = asyncio.create_task(engine.converse(machine.task("echo here; sleep 60; exit 0"), person))
    await until(lambda: person.read == "here\n")
    talking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await talking
