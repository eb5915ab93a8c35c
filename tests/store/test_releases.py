from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from hostd.errors import Conflict, NotFound
from hostd.model.release import Release, ReleaseState
from hostd.store import releases
from hostd.store.database import Database
from hostd.store.tables import releases as table
from tests.store.samples import IMAGE, environment_of, opened, release_of


async def moved(db: Database, release: Release, to: ReleaseState, failure: str = "") -> Release:
    after = release.move(to, failure)
    await db.call(releases.move, after)
    return after


async def test_a_release_is_read_as_it_was_written(db: Database, path: Path) -> None:
    environment = await db.call(environment_of, "shop")
    release = await db.call(release_of, environment.id, {"KEY": "secret"})
    assert (release.name, release.state, release.image) == ("v1", ReleaseState.STARTING, IMAGE)
    assert await db.read(releases.by_number, environment.id, 1, opened) == release
    assert b'"KEY": "secret"' not in (path.parent / f"{path.name}-wal").read_bytes()


async def test_releases_are_numbered_in_each_environment_for_itself(db: Database) -> None:
    shop = await db.call(environment_of, "shop")
    blog = await db.call(environment_of, "blog", "eve")
    numbers = [(await db.call(release_of, each.id)).number for each in (shop, blog, shop, shop, blog)]
    assert numbers == [1, 1, 2, 3, 2]


async def test_the_first_release_that_goes_live_is_the_live_one(db: Database) -> None:
    environment = await db.call(environment_of, "shop")
    release = await db.call(release_of, environment.id)
    assert await db.read(releases.live, environment.id, opened) is None
    live = await moved(db, release, ReleaseState.LIVE)
    assert await db.read(releases.live, environment.id, opened) == live


async def test_going_live_retires_the_one_before_in_the_same_moment(db: Database) -> None:
    shop = await db.call(environment_of, "shop")
    blog = await db.call(environment_of, "blog", "eve")
    of_blog = await moved(db, await db.call(release_of, blog.id), ReleaseState.LIVE)
    await moved(db, await db.call(release_of, shop.id), ReleaseState.LIVE)
    second = await moved(db, await db.call(release_of, shop.id), ReleaseState.LIVE)
    states = [release.state for release in await db.read(releases.recent, shop.id, 10, opened)]
    assert states == [ReleaseState.LIVE, ReleaseState.RETIRED]
    assert await db.read(releases.live, shop.id, opened) == second
    assert await db.read(releases.live, blog.id, opened) == of_blog


async def test_a_failed_release_keeps_its_reason_and_the_live_one_stays(db: Database) -> None:
    environment = await db.call(environment_of, "shop")
    first = await moved(db, await db.call(release_of, environment.id), ReleaseState.LIVE)
    second = await db.call(release_of, environment.id)
    await moved(db, second, ReleaseState.FAILED, "web did not listen on $PORT")
    assert await db.read(releases.live, environment.id, opened) == first
    failed = await db.read(releases.by_number, environment.id, 2, opened)
    assert (failed.state, failed.failure) == (ReleaseState.FAILED, "web did not listen on $PORT")


async def test_a_move_that_comes_too_late_is_refused_and_retires_nothing(db: Database) -> None:
    environment = await db.call(environment_of, "shop")
    first = await moved(db, await db.call(release_of, environment.id), ReleaseState.LIVE)
    second = await db.call(release_of, environment.id)
    await moved(db, second, ReleaseState.FAILED)
    with pytest.raises(Conflict, match="v2 cannot become live"):
        await db.call(releases.move, second.move(ReleaseState.LIVE))
    assert await db.read(releases.live, environment.id, opened) == first


async def test_the_database_itself_refuses_two_live_releases(db: Database) -> None:
    def both_live(connection: Connection) -> None:
        connection.execute(table.update().values(state=ReleaseState.LIVE))

    environment = await db.call(environment_of, "shop")
    await db.call(release_of, environment.id)
    await db.call(release_of, environment.id)
    with pytest.raises(IntegrityError):
        await db.call(both_live)


async def test_recent_releases_come_newest_first_and_no_more_than_asked(db: Database) -> None:
    environment = await db.call(environment_of, "shop")
    for _ in range(5):
        await db.call(release_of, environment.id)
    names = [release.name for release in await db.read(releases.recent, environment.id, 3, opened)]
    assert names == ["v5", "v4", "v3"]


async def test_releases_left_half_way_are_found_in_all_environments(db: Database) -> None:
    shop = await db.call(environment_of, "shop")
    blog = await db.call(environment_of, "blog", "eve")
    await moved(db, await db.call(release_of, shop.id), ReleaseState.LIVE)
    left = [await db.call(release_of, blog.id), await db.call(release_of, shop.id)]
    assert await db.read(releases.starting, opened) == left


async def test_a_release_that_is_not_there_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound, match="no release v3"):
        await db.read(releases.by_number, 1, 3, opened)
