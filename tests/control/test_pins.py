from pathlib import Path

import pytest

from hostd.control.config import change_config
from hostd.control.pins import changes_of, pin
from hostd.control.releases import rollback
from hostd.errors import Conflict, LimitExceeded, NotFound, Unavailable
from hostd.model.app import User
from hostd.model.changes import Names
from hostd.model.release import KEPT, Release
from hostd.store import releases
from tests.control.house import House, image_of
from tests.control.house import changes_of as config_changes
from tests.fakes_control import static_image

NONE = Names([], [], [])


async def pinned(house: House, number: int, *, keep: bool = True) -> Release:
    return await pin(house.platform, house.app, house.production, house.ada, number, keep)


async def kept(house: House) -> list[int]:
    decrypt = house.platform.secrets.decrypt_mapping
    found = await house.platform.db.read(releases.kept, house.production.id, KEPT, decrypt)
    return [release.number for release in found]


async def test_a_pinned_release_is_kept_until_it_is_let_go(house: House) -> None:
    first = await house.deploy()
    assert (await pinned(house, 1)).pinned
    for _ in range(KEPT):
        await house.release()
    assert first.number in await kept(house)
    assert len(await kept(house)) == KEPT + 1
    assert not (await pinned(house, 1, keep=False)).pinned
    assert await kept(house) == list(range(KEPT + 1, 1, -1))
    assert house.production.id in house.platform.untidy


async def test_so_many_can_be_pinned(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "PINS_LIMIT", 2)
    for number in (1, 2, 3):
        await house.deploy()
        if number < 3:
            await pinned(house, number)
    with pytest.raises(LimitExceeded, match="at most 2 releases are pinned"):
        await pinned(house, 3)
    await pinned(house, 2)
    await pinned(house, 1, keep=False)
    await pinned(house, 3)


async def test_what_failed_is_gone_or_never_was_cannot_be_pinned(house: House, tmp_path: Path) -> None:
    await house.deploy(static_image(tmp_path / "site"))
    house.engine.refuse = {"web": "no room left"}
    with pytest.raises(Unavailable):
        await house.deploy()
    with pytest.raises(Conflict, match="v2 failed: there is nothing to keep"):
        await pinned(house, 2)
    (tmp_path / "site").rename(tmp_path / "lost")
    with pytest.raises(Conflict, match="the image of v1 is gone"):
        await pinned(house, 1)
    with pytest.raises(NotFound, match="there is no release v3"):
        await pinned(house, 3)
    with pytest.raises(NotFound, match="there is no app 'shop'"):
        await pin(house.platform, house.app, house.production, User(99, "bob", False), 1, True)


async def test_releases_that_failed_do_not_push_out_good_ones(house: House) -> None:
    await house.deploy()
    house.engine.refuse = {"web": "no room left"}
    for _ in range(KEPT + 1):
        with pytest.raises(Unavailable):
            await house.deploy()
    assert await kept(house) == [1]


async def test_changes_are_commits_names_of_config_and_processes(house: House) -> None:
    house.builder.image = image_of(web="serve 200", clock="sleep 9")
    await house.push()
    first = house.tip("main")
    house.builder.image = image_of(web="serve 201", worker="sleep 9")
    await house.push(files={"page": "another"})  # else, within one second, it is the very same commit
    second = house.tip("main")
    await change_config(
        house.platform, house.app, house.production, house.ada, config_changes({"A": "secret"}), house.said
    )
    back = await rollback(house.platform, house.app, house.production, house.ada, 1, house.said)
    v1, v2, v3 = reversed(list(await house.stored())[1:])

    one = await changes_of(house.platform, house.app, v1)
    assert (one.since, [line.commit for line in one.commits]) == ("", [first])
    assert one.processes == Names(["clock", "web"], [], [])
    two = await changes_of(house.platform, house.app, v2)
    assert (two.since, two.commits[0].commit, two.same_image) == ("v1", second, False)
    assert (two.processes, two.config) == (Names(["worker"], ["web"], ["clock"]), NONE)
    three = await changes_of(house.platform, house.app, v3)
    assert (three.commits, three.withdrawn, three.same_image) == ([], [], True)
    assert three.config == Names(["A"], [], [])
    assert "secret" not in repr(three)
    four = await changes_of(house.platform, house.app, back)
    assert four.since == "v3"
    assert four.config == Names([], [], ["A"])
    assert four.withdrawn[0].commit == second


async def test_a_release_that_failed_is_nothing_to_compare_with(house: House) -> None:
    await house.push()
    house.engine.refuse = {"web": "no room left"}
    with pytest.raises(Unavailable):
        await house.push()
    house.engine.refuse = {}
    await house.push()
    assert (await changes_of(house.platform, house.app, (await house.stored())[0])).since == "v1"
