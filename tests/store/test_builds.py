import pytest

from hostd.errors import Conflict, NotFound
from hostd.model.build import Build, BuildState
from hostd.store import builds
from hostd.store.database import Database
from tests.store.samples import COMMIT, LATER, NOW, environment_of


async def started(db: Database, app: str = "shop", owner: str = "ada") -> tuple[int, int]:
    environment = await db.call(environment_of, app, owner)
    return environment.id, await db.call(builds.start, environment.id, COMMIT, owner, NOW)


async def test_a_build_runs_until_it_is_finished(db: Database) -> None:
    environment_id, build_id = await started(db)
    running = Build(build_id, environment_id, COMMIT, "ada", BuildState.RUNNING, NOW)
    assert await db.read(builds.by_id, build_id) == running
    assert await db.read(builds.transcript_of, build_id) == ""
    await db.call(builds.finish, build_id, BuildState.SUCCEEDED, "-----> done\n", "", 1, LATER)
    assert await db.read(builds.by_id, build_id) == Build(
        build_id, environment_id, COMMIT, "ada", BuildState.SUCCEEDED, NOW, LATER, "", 1
    )
    assert await db.read(builds.transcript_of, build_id) == "-----> done\n"


async def test_a_build_is_finished_once(db: Database) -> None:
    _, build_id = await started(db)
    await db.call(builds.finish, build_id, BuildState.FAILED, "text", "no web process", None, LATER)
    with pytest.raises(Conflict, match="not running"):
        await db.call(builds.finish, build_id, BuildState.SUCCEEDED, "", "", 1, LATER)
    assert (await db.read(builds.by_id, build_id)).reason == "no web process"


async def test_the_build_of_a_release_is_found_by_its_number(db: Database) -> None:
    environment_id, build_id = await started(db)
    await db.call(builds.finish, build_id, BuildState.SUCCEEDED, "text", "", 4, LATER)
    assert await db.read(builds.of_release, environment_id, 4) == await db.read(builds.by_id, build_id)
    assert await db.read(builds.of_release, environment_id, 5) is None


async def test_recent_builds_come_newest_first_and_no_more_than_asked(db: Database) -> None:
    environment_id, first = await started(db)
    await started(db, "blog", "eve")
    others = [await db.call(builds.start, environment_id, COMMIT, "ada", LATER) for _ in range(3)]
    recent = [build.id for build in await db.read(builds.recent, environment_id, 3)]
    assert recent == others[::-1]
    assert first not in recent


async def test_builds_that_still_seem_to_run_at_start_are_interrupted(db: Database) -> None:
    _, left = await started(db)
    _, finished = await started(db, "blog", "eve")
    await db.call(builds.finish, finished, BuildState.SUCCEEDED, "", "", 1, NOW)
    assert await db.call(builds.interrupt_running, LATER) == 1
    assert await db.call(builds.interrupt_running, LATER) == 0
    build = await db.read(builds.by_id, left)
    assert (build.state, build.finished_at, build.reason) == (
        BuildState.INTERRUPTED,
        LATER,
        "hostd was stopped meanwhile",
    )
    assert (await db.read(builds.by_id, finished)).state is BuildState.SUCCEEDED


async def test_a_build_that_is_not_there_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound):
        await db.read(builds.by_id, 9)
    with pytest.raises(NotFound):
        await db.read(builds.transcript_of, 9)
