from dataclasses import replace
from pathlib import Path

import pytest

from hostd.control.config import change_config, config_of
from hostd.control.releases import releases_of, rollback
from hostd.errors import Conflict, NotFound, Unavailable
from hostd.model.app import User
from hostd.model.release import Release, ReleaseState
from hostd.model.route import ToDirectory, ToInstances
from hostd.transcript import Transcript
from tests.control.house import House, changes_of, image_of
from tests.fakes_control import static_image


async def back(house: House, number: int | None = None) -> Release:
    return await rollback(house.platform, house.app, house.production, house.ada, number, house.said)


async def test_a_rollback_goes_to_the_release_before_as_a_new_one(house: House) -> None:
    first = await house.deploy(image_of(web="serve 200"))
    await house.deploy(image_of(web="serve 201"))
    release = await back(house)
    assert (release.name, release.image, release.commit) == ("v3", first.image, first.commit)
    assert (release.reason, release.author) == ("rollback to v1", "ada")
    assert house.said.committed
    await house.settled()
    assert house.running == ["web-v1"]  # it is v1 that runs: the same image and config
    assert [each.name for each in await releases_of(house.platform, house.production, 2)] == ["v3", "v2"]


async def test_the_one_before_is_the_one_that_served_and_not_one_that_failed(house: House) -> None:
    first = await house.deploy(image_of(web="serve 200"))
    house.engine.refuse = {"web": "no room left"}
    with pytest.raises(Unavailable):
        await house.deploy(image_of(web="serve 404"))
    house.engine.refuse = {}
    await house.deploy(image_of(web="serve 201"))
    assert (await back(house)).image == first.image


async def test_a_rollback_brings_the_config_of_then(house: House) -> None:
    await house.deploy()
    await change_config(
        house.platform, house.app, house.production, house.ada, changes_of({"A": "1"}), house.said
    )
    release = await back(house, 1)
    assert release.config == {}
    assert "A" not in house.keeper.instances[0].spec.env
    assert await config_of(house.platform, house.production) == {"A": "1"}
    assert any("with A as they were then" in line for line in house.said.lines)


async def test_there_is_nothing_to_go_back_to_before_the_second_release(house: House) -> None:
    for _ in range(2):
        with pytest.raises(NotFound, match="there is no release to go back to"):
            await back(house)
        if not house.running:
            await house.deploy()


async def test_a_release_that_failed_lives_or_never_was_cannot_be_gone_back_to(house: House) -> None:
    await house.deploy()
    house.engine.refuse = {"web": "no room left"}
    with pytest.raises(Unavailable):
        await house.deploy()
    house.engine.refuse = {}
    with pytest.raises(Conflict, match="v1 is what runs now"):
        await back(house, 1)
    with pytest.raises(Conflict, match="v2 failed \\(no room left\\): there is nothing to go back to"):
        await back(house, 2)
    for number in (0, -1, 3, 10**18):
        with pytest.raises(NotFound, match=f"there is no release v{number}"):
            await back(house, number)
    assert house.running == ["web-v1"]


async def test_a_release_whose_files_are_gone_cannot_be_gone_back_to(house: House, tmp_path: Path) -> None:
    site = tmp_path / "made"
    await house.deploy(static_image(site))
    await house.deploy()
    site.rename(tmp_path / "lost")
    with pytest.raises(Conflict, match="the image of v1 is gone: the last ones are kept"):
        await back(house)
    (tmp_path / "lost").rename(site)
    assert (await back(house)).image.static
    assert isinstance(house.route.target, ToDirectory)


async def test_a_rollback_that_does_not_start_leaves_what_runs(house: House) -> None:
    await house.deploy(image_of(web="serve 200", worker="sleep 99"))
    await house.deploy(image_of(web="serve 201"))
    await house.settled()
    house.engine.refuse = {"worker": "no room left"}
    with pytest.raises(Unavailable, match="no room left"):
        await back(house)
    assert (house.running, house.kept_frozen, house.route.release) == (["web-v2"], [], "v2")
    assert house.router.routes["v1--shop.localhost"].target == ToInstances((), asleep=True)
    assert "v3--shop.localhost" not in house.router.routes
    assert await house.states() == [ReleaseState.RETIRED, ReleaseState.LIVE, ReleaseState.FAILED]


async def test_somebody_elses_app_cannot_be_rolled_back(house: House) -> None:
    app = replace(house.app)
    with pytest.raises(NotFound, match="there is no app 'shop'"):
        await rollback(house.platform, app, house.production, User(99, "bob", False), 1, house.said)


async def test_who_goes_back_without_a_pause_is_told_of_the_one_there_is(house: House) -> None:
    await house.deploy()
    await house.deploy()
    await back(house, 1)
    assert any("Deploys are paused" in line for line in house.said.lines)
    said = Transcript()
    await rollback(house.platform, house.app, house.production, house.ada, 2, said, pause=False)
    assert any("Deploys stay paused" in line for line in said.lines)
