import pytest

from hostd.control.config import (
    OF_PREVIEWS,
    OWN,
    all_config_of,
    change_config,
    change_preview_config,
    config_of,
    generated,
    sources_of,
    version_of,
)
from hostd.errors import Conflict, Invalid, NotFound, Unavailable
from hostd.model.app import PRODUCTION, User
from hostd.model.config import TOTAL_LIMIT, VALUE_LIMIT, ConfigChange, ConfigChanges, ConfigVar, Scope
from hostd.model.release import Release, ReleaseState
from hostd.store import config_vars, environments
from tests.control.house import House, changes_of

RUN = frozenset({Scope.RUN})


async def change(house: House, **changes: str | None) -> Release | None:
    return await change_to(house, changes_of(changes))


async def change_to(house: House, changes: ConfigChanges, expected: str | None = None) -> Release | None:
    return await change_config(
        house.platform, house.app, house.production, house.ada, changes, house.said, expected
    )


async def test_config_before_the_first_push_is_stored_only(house: House) -> None:
    assert await change(house, A="1", B="2") is None
    assert await config_of(house.platform, house.production) == {"A": "1", "B": "2"}
    assert (house.running, await house.stored()) == ([], [])


async def test_a_change_is_a_release_with_the_image_there_is(house: House) -> None:
    first = await house.deploy()
    release = await change(house, A="1")
    assert release
    assert (release.name, release.image, release.commit) == ("v2", first.image, first.commit)
    assert (release.reason, release.author, release.config) == ("set A", "ada", {"A": "1"})
    assert house.keeper.instances[0].spec.env["A"] == "1"
    release = await change(house, A=None)
    assert release
    assert "A" not in house.keeper.instances[0].spec.env
    await house.settled()
    assert house.running == ["web-v3"]


async def test_a_change_the_app_does_not_start_with_changes_nothing(house: House) -> None:
    await house.deploy()
    await change(house, A="1")
    await house.settled()
    house.engine.refuse = {"web": "no room left"}
    with pytest.raises(Unavailable, match="no room left"):
        await change(house, A="2", B="2")
    assert await config_of(house.platform, house.production) == {"A": "1"}
    assert house.running == ["web-v2"]
    assert await house.states() == [ReleaseState.RETIRED, ReleaseState.LIVE, ReleaseState.FAILED]


async def test_the_config_has_a_limit_in_all(house: House) -> None:
    full = {f"A{number}": "x" * VALUE_LIMIT for number in range(TOTAL_LIMIT // VALUE_LIMIT - 1)}
    await change(house, **full)
    with pytest.raises(Invalid, match="the config is too large in all \\(at most 512 KiB\\)"):
        await change(house, B="x" * VALUE_LIMIT)
    await change(house, A0=None, B="x" * VALUE_LIMIT)


async def test_values_are_stored_encrypted_with_what_they_are_for(house: House) -> None:
    scopes = frozenset({Scope.BUILD, Scope.PREVIEW})
    await change_to(house, {"A": ConfigChange("s3cret", secret=True, scopes=scopes)})
    stored = await house.platform.db.read(config_vars.of, config_vars.environment(house.production.id))
    assert b"s3cret" not in stored["A"].value
    assert await all_config_of(house.platform, house.production) == {"A": ConfigVar("s3cret", True, scopes)}


async def test_somebody_elses_app_cannot_be_configured(house: House) -> None:
    bob = User(99, "bob", False)
    with pytest.raises(NotFound, match="there is no app 'shop'"):
        await change_config(
            house.platform, house.app, house.production, bob, changes_of({"A": "1"}), house.said
        )


async def test_instances_do_not_see_what_is_for_builds_only_and_the_change_says_who_does(
    house: House,
) -> None:
    await house.deploy()
    release = await change_to(house, {"NPM_TOKEN": ConfigChange("t", scopes=frozenset({Scope.BUILD}))})
    assert release
    assert (release.config, release.reason) == ({}, "set NPM_TOKEN")
    assert "NPM_TOKEN" not in house.keeper.instances[0].spec.env
    assert "       builds see the change of NPM_TOKEN from the next push on" in house.said.lines
    said = len(house.said.lines)
    await change(house, A="1")
    assert not any("builds see" in line for line in house.said.lines[said:])


async def test_a_change_that_previews_share_says_when_they_have_it(house: House) -> None:
    await change_to(house, {"A": ConfigChange("1", scopes=frozenset(Scope))})
    assert house.said.lines == [
        "       builds see the change of A from the next push on",
        "       previews have the change of A from the next release of each on",
    ]


async def test_previews_get_what_production_shares_and_their_own_wins(house: House) -> None:
    shared = frozenset({Scope.RUN, Scope.PREVIEW})
    wanted = {name: ConfigChange("production", scopes=shared) for name in ("A", "B", "C")}
    await change_to(house, {**wanted, "KEPT": ConfigChange("production", secret=True)})
    await change_preview_config(
        house.platform, house.app, house.ada, changes_of({"B": "previews", "C": "previews"})
    )
    topic = await house.platform.db.call(
        environments.create, house.app, "topic", "topic", "topic--shop.localhost", house.clock[0]
    )
    await change_config(house.platform, house.app, topic, house.ada, changes_of({"C": "own"}), house.said)
    assert await config_of(house.platform, topic) == {"A": "production", "B": "previews", "C": "own"}
    assert [source for source, _ in await sources_of(house.platform, topic)] == [PRODUCTION, OF_PREVIEWS, OWN]
    refused = {"D": ConfigChange("1", scopes=shared)}
    with pytest.raises(Invalid, match="D is not production's"):
        await change_config(house.platform, house.app, topic, house.ada, refused, house.said)
    with pytest.raises(Invalid, match="D is not production's"):
        await change_preview_config(house.platform, house.app, house.ada, refused)


def test_a_generated_secret_is_as_long_as_wanted_and_never_the_same() -> None:
    for length in (16, 33, 512):
        first, second = generated(length), generated(length)
        assert first.value
        assert (len(first.value), first.secret) == (length, True)
        assert first.value != second.value
    for length in (15, 513, 0, -1):
        with pytest.raises(Invalid, match="16 to 512 characters"):
            generated(length)


async def test_two_who_change_the_same_config_are_told(house: House) -> None:
    await change(house, A="1")
    seen = version_of(house.platform, await all_config_of(house.platform, house.production))
    await change_to(house, changes_of({"A": "2"}), seen)
    with pytest.raises(Conflict, match="changed by somebody else meanwhile"):
        await change_to(house, changes_of({"A": "3"}), seen)
    assert await config_of(house.platform, house.production) == {"A": "2"}


async def test_the_version_of_a_config_tells_every_change_apart(house: House) -> None:
    configs = [
        {},
        {"A": ConfigVar("1")},
        {"A": ConfigVar("2")},
        {"A": ConfigVar("1", secret=True)},
        {"A": ConfigVar("1", scopes=RUN | {Scope.BUILD})},
    ]
    assert len({version_of(house.platform, config) for config in configs}) == len(configs)


async def test_a_change_that_changes_nothing_makes_no_release(house: House) -> None:
    await house.deploy()
    live = await change(house, A="1")
    assert await change(house, A="1") == live
    assert await change(house, NEVER_SET=None) == live
    assert [release.name for release in await house.stored()] == ["v2", "v1"]
    assert "       nothing changed: no new release" in house.said.lines


async def test_flags_alone_are_a_change(house: House) -> None:
    await house.deploy()
    await change(house, A="1")
    secret = {"A": ConfigChange("1", secret=True)}
    release = await change_config(house.platform, house.app, house.production, house.ada, secret, house.said)
    assert release and release.number == 3
