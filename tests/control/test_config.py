import pytest

from hostd.control.config import TOTAL_LIMIT, VALUE_LIMIT, change_config, check_changes, config_of, described
from hostd.errors import Invalid, NotFound, Unavailable
from hostd.model.app import User
from hostd.model.release import Release, ReleaseState
from hostd.store import config_vars
from tests.control.house import House


async def change(house: House, **changes: str | None) -> Release | None:
    return await change_config(house.platform, house.app, house.production, house.ada, changes, house.said)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "Ä", "A\n", "A" * 256, "A\0"])
def test_names_have_a_rule(name: str) -> None:
    with pytest.raises(Invalid, match="is not a name for a config variable: A to Z"):
        check_changes({name: "1"})


@pytest.mark.parametrize("name", ["PORT", "LD_PRELOAD", "BASH_ENV", "HOSTD_APP", "HOSTD_"])
def test_names_that_the_system_sets_are_reserved(name: str) -> None:
    for value in ("1", None):
        with pytest.raises(Invalid, match=f"{name} is reserved"):
            check_changes({name: value})


@pytest.mark.parametrize(
    ("value", "reason"), [("s3cret\0", "holds a NUL byte"), ("é" * (VALUE_LIMIT // 2 + 1), "is too long")]
)
def test_values_have_rules_and_are_never_shown(value: str, reason: str) -> None:
    with pytest.raises(Invalid, match=f"the value of KEY {reason}") as caught:
        check_changes({"KEY": value})
    assert value not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("changes", [{"A": ""}, {"_a9": "x" * VALUE_LIMIT}, {"A" * 255: None}])
def test_what_keeps_the_rules_is_taken(changes: dict[str, str | None]) -> None:
    check_changes(changes)


def test_a_change_of_nothing_is_refused() -> None:
    with pytest.raises(Invalid, match="no config variable was named"):
        check_changes({})


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({}, {"B": "1", "A": "1"}, "set A, B"),
        ({"A": "1", "B": "1"}, {"A": "1"}, "unset B"),
        ({"A": "1", "B": "1"}, {"A": "2", "C": "1"}, "set A, C; unset B"),
        ({"A": "1"}, {"A": "1"}, "config unchanged"),
    ],
)
def test_a_change_is_described_by_names(before: dict[str, str], after: dict[str, str], words: str) -> None:
    assert described(before, after) == words


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


async def test_values_are_stored_encrypted(house: House) -> None:
    await change(house, A="s3cret")
    stored = await house.platform.db.read(config_vars.of, house.production.id)
    assert b"s3cret" not in stored["A"]


async def test_somebody_elses_app_cannot_be_configured(house: House) -> None:
    bob = User(99, "bob", False)
    with pytest.raises(NotFound, match="there is no app 'shop'"):
        await change_config(house.platform, house.app, house.production, bob, {"A": "1"}, house.said)
