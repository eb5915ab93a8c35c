from collections.abc import Sequence

import pytest

from hostd.control import groups
from hostd.control.apps import create_app, production_of
from hostd.control.config import change_config, config_of
from hostd.control.rollout import rollout
from hostd.errors import Conflict, Invalid, LimitExceeded, NotFound, RolloutFailed, Unavailable
from hostd.model.app import App, Environment, User
from hostd.model.config import TOTAL_LIMIT, ConfigChange, Scope
from hostd.model.release import Release
from hostd.store import config_groups, environments, releases, users
from tests.control.house import COMMIT, House, changes_of, image_of


async def second_app(house: House) -> tuple[App, Environment]:
    """The App blog of ada's, deployed."""
    app = await create_app(house.platform, house.ada, "blog")
    production = await production_of(house.platform, app)
    nothing = house.platform.secrets.encrypt_mapping({})
    now = house.platform.now()
    release = await house.platform.db.call(
        releases.create, production.id, image_of(), nothing, COMMIT, "a push", "ada", now, {}
    )
    await rollout(house.platform, production, release, house.said)
    return app, production


async def attach(house: House, name: str, app: App, environment: Environment) -> Release | None:
    return await groups.attach_group(house.platform, app, environment, house.ada, name, house.said)


async def change(house: House, name: str, **changes: str | None) -> Sequence[Release]:
    return await groups.change_group(house.platform, house.ada, name, changes_of(changes), house.said)


async def test_a_group_reaches_every_app_it_is_attached_to_as_a_release(house: House) -> None:
    await house.deploy()
    blog, at_blog = await second_app(house)
    await groups.create_group(house.platform, house.ada, "mail")
    assert await change(house, "mail", HOST="one") == []
    for app, place in ((house.app, house.production), (blog, at_blog)):
        release = await attach(house, "mail", app, place)
        assert release
        assert (release.config, release.reason) == ({"HOST": "one"}, "attached group mail")
    released = await change(house, "mail", HOST="two", PORTS="25")
    assert [release.reason for release in released] == ["group mail: set HOST, PORTS"] * 2
    for place in (house.production, at_blog):
        assert house.platform.keepers[place.id].instances[0].spec.env["HOST"] == "two"
    assert "       shop-production: v3 is live" in house.said.lines
    details = await groups.find_group(house.platform, house.ada, "mail")
    assert [place.label for place in details.places] == ["shop-production", "blog-production"]


async def test_one_app_that_does_not_start_keeps_its_release_and_the_others_go_on(house: House) -> None:
    await house.deploy(image_of(fragile="serve 200"))
    blog, at_blog = await second_app(house)
    await groups.create_group(house.platform, house.ada, "mail")
    await attach(house, "mail", house.app, house.production)
    await attach(house, "mail", blog, at_blog)
    await house.settled()
    house.engine.refuse = {"fragile": "no room left"}
    with pytest.raises(RolloutFailed, match="1 of 2 did not start with the change: shop-production"):
        await change(house, "mail", HOST="one")
    assert house.keeper.release.name == "v2"
    assert house.platform.keepers[at_blog.id].release.config == {"HOST": "one"}
    assert any("shop-production keeps the release it has: no room left" in line for line in house.said.lines)
    assert await config_of(house.platform, house.production) == {"HOST": "one"}


async def test_own_config_wins_over_groups_and_a_group_over_those_attached_before(house: House) -> None:
    for name in ("first", "second"):
        await groups.create_group(house.platform, house.ada, name)
        await change(house, name, A=name, B=name, C=name)
        await attach(house, name, house.app, house.production)
    await change(house, "second", A=None)
    mine = changes_of({"C": "own"})
    await change_config(house.platform, house.app, house.production, house.ada, mine, house.said)
    assert await config_of(house.platform, house.production) == {"A": "first", "B": "second", "C": "own"}


async def test_previews_get_of_productions_groups_only_what_is_shared(house: House) -> None:
    await groups.create_group(house.platform, house.ada, "mail")
    shared = ConfigChange("1", scopes=frozenset({Scope.RUN, Scope.PREVIEW}))
    wanted = {"SHARED": shared, "KEPT": ConfigChange("1")}
    await groups.change_group(house.platform, house.ada, "mail", wanted, house.said)
    await attach(house, "mail", house.app, house.production)
    topic = await house.platform.db.call(
        environments.create, house.app, "topic", "topic", "topic--shop.localhost", house.clock[0]
    )
    assert await config_of(house.platform, topic) == {"SHARED": "1"}
    await attach(house, "mail", house.app, topic)
    assert await config_of(house.platform, topic) == {"SHARED": "1", "KEPT": "1"}


async def test_detaching_takes_it_away_and_only_then_can_the_group_be_destroyed(house: House) -> None:
    await house.deploy()
    await groups.create_group(house.platform, house.ada, "mail")
    await change(house, "mail", HOST="one")
    await attach(house, "mail", house.app, house.production)
    with pytest.raises(Conflict, match="attached to shop-production already"):
        await attach(house, "mail", house.app, house.production)
    with pytest.raises(Conflict, match="it is attached to shop-production"):
        await groups.destroy_group(house.platform, house.ada, "mail")
    release = await groups.detach_group(
        house.platform, house.app, house.production, house.ada, "mail", house.said
    )
    assert release
    assert (release.config, release.reason) == ({}, "detached group mail")
    with pytest.raises(NotFound, match="is not attached to shop-production"):
        await groups.detach_group(house.platform, house.app, house.production, house.ada, "mail", house.said)
    await groups.destroy_group(house.platform, house.ada, "mail")
    assert await groups.list_groups(house.platform, house.ada) == []


async def test_an_app_that_does_not_start_with_a_group_does_not_have_it(house: House) -> None:
    await house.deploy()
    await groups.create_group(house.platform, house.ada, "mail")
    await change(house, "mail", HOST="one")
    house.engine.refuse = {"web": "no room left"}
    with pytest.raises(Unavailable):
        await attach(house, "mail", house.app, house.production)
    assert await config_of(house.platform, house.production) == {}


async def test_a_group_is_its_owners_and_administrators(house: House) -> None:
    bob = await house.platform.db.call(users.create, "bob", False, house.clock[0])
    root = User(99, "root", True)
    await groups.create_group(house.platform, house.ada, "mail")
    assert await groups.list_groups(house.platform, bob) == []
    for work in (
        groups.find_group(house.platform, bob, "mail"),
        groups.destroy_group(house.platform, bob, "mail"),
        groups.change_group(house.platform, bob, "mail", changes_of({"A": "1"}), house.said),
        groups.find_group(house.platform, bob, "nothing"),
    ):
        with pytest.raises(NotFound, match="there is no config group"):
            await work
    with pytest.raises(NotFound, match="there is no app"):
        await groups.attach_group(house.platform, house.app, house.production, bob, "mail", house.said)
    assert [details.group.name for details in await groups.list_groups(house.platform, root)] == ["mail"]
    with pytest.raises(Conflict, match="the name mail is not available"):
        await groups.create_group(house.platform, bob, "mail")


@pytest.mark.parametrize("name", ["", "a", "Mail", "1mail", "mail-", "a" * 41, "ma il", "../x", "mäil"])
async def test_names_of_groups_have_a_rule(house: House, name: str) -> None:
    with pytest.raises(Invalid, match="is not a name for a config group: 2 to 40"):
        await groups.create_group(house.platform, house.ada, name)


async def test_config_with_groups_has_the_same_limit_in_all(house: House) -> None:
    await groups.create_group(house.platform, house.ada, "mail")
    half = {f"A{number}": "x" * 65_000 for number in range(TOTAL_LIMIT // 65_000)}
    await change(house, "mail", **half)
    mine = changes_of({"B": "x" * 65_000})
    await change_config(house.platform, house.app, house.production, house.ada, mine, house.said)
    with pytest.raises(Invalid, match="too large in all"):
        await attach(house, "mail", house.app, house.production)


async def test_a_user_has_so_many(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_groups, "GROUPS_LIMIT", 2)
    for name in ("one", "two"):
        await groups.create_group(house.platform, house.ada, name)
    with pytest.raises(LimitExceeded, match="at most 2 config groups"):
        await groups.create_group(house.platform, house.ada, "three")
