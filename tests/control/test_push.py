import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from hostd.build.workshop import BUILD_KEY
from hostd.control.config import change_config
from hostd.control.push import accept
from hostd.errors import BuildFailed, Conflict, Invalid, NotFound, RolloutFailed
from hostd.git.receive import Received
from hostd.model.app import App, User
from hostd.model.build import Build, BuildState
from hostd.model.image import Image
from hostd.model.push import ZERO, RefUpdate
from hostd.model.route import ToError
from hostd.model.source import Source
from hostd.store import apps, builds
from hostd.transcript import Transcript
from tests.control.house import House, changes_of, house_in, image_of
from tests.eventually import until
from tests.fakes_control import FakeBuilder


class NotingBuilder(FakeBuilder):
    """Notes what it was given, and builds only while `free` is set."""

    def __init__(self) -> None:
        super().__init__(image_of())
        self.given: list[tuple[Mapping[str, str], Image | None]] = []
        self.free = asyncio.Event()
        self.free.set()

    async def build(
        self, source: Source, app: App, env: Mapping[str, str], previous: Image | None, transcript: Transcript
    ) -> Image:
        self.given.append((env, previous))
        await self.free.wait()
        return await super().build(source, app, env, previous, transcript)


@pytest.fixture
def builder() -> NotingBuilder:
    return NotingBuilder()


@pytest.fixture
async def house(tmp_path: Path, builder: NotingBuilder) -> AsyncIterator[House]:
    async with house_in(tmp_path) as made:
        made.platform = replace(made.platform, builder=builder)
        yield made
        builder.free.set()


async def last_build(house: House) -> Build:
    return (await house.platform.db.read(builds.recent, house.production.id, 1))[0]


async def test_a_push_is_built_recorded_and_live(house: House) -> None:
    said = await house.push()
    commit = house.tip("main")
    assert said.committed
    assert said.lines[0] == f"-----> Deploying {commit[:7]} main"
    assert said.lines[-1] == "-----> http://shop.localhost:8080 is running v1"
    assert house.running == ["web-v1"]
    build, (release,) = await last_build(house), await house.stored()
    assert (build.state, build.commit, build.release_number) == (BuildState.SUCCEEDED, commit, 1)
    assert (release.commit, release.reason, release.author) == (commit, "main", "ada")
    kept = await house.platform.db.read(builds.transcript_of, build.id)
    assert kept.splitlines() == said.lines


async def test_a_build_that_fails_is_recorded_and_changes_nothing(
    house: House, builder: NotingBuilder
) -> None:
    await house.push()
    builder.refuse = BuildFailed("no such package", hint="check requirements.txt")
    with pytest.raises(BuildFailed, match=r"^build failed: no such package$") as caught:
        await house.push()
    assert caught.value.hint == "check requirements.txt"
    build = await last_build(house)
    assert (build.state, build.reason, build.release_number) == (BuildState.FAILED, "no such package", None)
    assert (house.running, len(await house.stored())) == (["web-v1"], 1)


async def test_a_release_that_does_not_start_is_told_as_such(house: House, builder: NotingBuilder) -> None:
    builder.image = image_of(web="exit 3")
    with pytest.raises(RolloutFailed, match=r"^release failed: web exited with status 3"):
        await house.push()
    assert (await last_build(house)).state is BuildState.FAILED
    assert (house.running, house.route.target) == ([], ToError("H81"))


async def test_a_client_that_goes_away_before_the_commit_point_cancels_the_build(
    house: House, builder: NotingBuilder
) -> None:
    builder.free.clear()
    task = asyncio.create_task(house.push())
    await until(lambda: len(builder.given) == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    build = await last_build(house)
    assert (build.state, build.reason) == (BuildState.FAILED, "hostd was stopped or the client went away")
    builder.free.set()
    await house.push()
    assert house.running == ["web-v1"]


async def test_a_second_push_waits_and_is_told_so(house: House, builder: NotingBuilder) -> None:
    builder.free.clear()
    first, said = asyncio.create_task(house.push()), Transcript()
    await until(lambda: len(builder.given) == 1)
    second = asyncio.create_task(house.push(said=said))
    waits = "-----> Another deploy of this app is under way; waiting for it to end"
    await until(lambda: said.lines == [waits])
    builder.free.set()
    await first
    with pytest.raises(Conflict, match="main has moved on"):
        await second
    assert len(builder.built) == 1


async def test_a_build_sees_the_layers_that_live_unless_the_cache_is_to_be_cleared(
    house: House, builder: NotingBuilder
) -> None:
    await house.push()
    await house.push()
    await house.push("main", "clear-cache")
    assert [previous for _, previous in builder.given] == [None, builder.image, None]


async def test_a_build_sees_no_secrets_of_the_app_and_the_release_has_all(
    house: House, builder: NotingBuilder
) -> None:
    changes: dict[str, str | None] = {"SECRET": "s", "NODE_ENV": "production", "VITE_API": "/api"}
    await change_config(
        house.platform, house.app, house.production, house.ada, changes_of(changes), house.said
    )
    await house.push()
    seen = dict(builder.given[0][0])
    assert seen.pop(BUILD_KEY)
    assert seen == {"NODE_ENV": "production", "VITE_API": "/api"}
    env = house.keeper.instances[0].spec.env
    assert (env["SECRET"], env["HOSTD_COMMIT"]) == ("s", house.tip("main"))


async def test_master_is_the_production_branch_of_an_app_that_never_had_another(house: House) -> None:
    await house.push("master")
    assert (await house.platform.db.read(apps.by_id, house.app.id)).production_branch == "master"
    assert house.running == ["web-v1"]
    head = (house.platform.repositories.path(house.app) / "HEAD").read_text()
    assert head == "ref: refs/heads/master\n"


async def test_a_push_with_an_unknown_option_is_refused(house: House, builder: NotingBuilder) -> None:
    with pytest.raises(Invalid, match="unknown push option 'force'"):
        await house.push("main", "force")
    assert builder.given == []


async def test_somebody_elses_app_cannot_be_pushed_to(house: House, builder: NotingBuilder) -> None:
    house.ada = User(99, "bob", False)
    with pytest.raises(NotFound, match="there is no app 'shop'"):
        await house.push()
    assert builder.given == []


async def test_a_tag_is_stored_and_deploys_nothing(house: House, builder: NotingBuilder) -> None:
    update = RefUpdate(ZERO, house.commit(), "refs/tags/v1")
    received, said = Received(house.platform.repositories.path(house.app), None, (update,), ()), Transcript()
    async with AsyncExitStack() as held:
        await accept(house.platform, house.app, house.ada, received, said, held)
    assert said.lines == ["       refs/tags/v1 stored; only branches deploy"]
    assert builder.given == []
