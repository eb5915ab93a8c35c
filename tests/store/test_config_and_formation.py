from hostd.store import config_vars, formation, installation
from hostd.store.database import Database
from tests.store.samples import environment_of


async def test_config_vars_are_set_changed_and_unset(db: Database) -> None:
    environment = await db.call(environment_of, "shop")
    await db.call(config_vars.set, environment.id, "KEY", b"\x00\xff")
    await db.call(config_vars.set, environment.id, "DEBUG", b"0")
    await db.call(config_vars.set, environment.id, "DEBUG", b"1")
    assert await db.read(config_vars.of, environment.id) == {"DEBUG": b"1", "KEY": b"\x00\xff"}
    assert await db.call(config_vars.unset, environment.id, "DEBUG") is True
    assert await db.call(config_vars.unset, environment.id, "DEBUG") is False
    assert await db.read(config_vars.of, environment.id) == {"KEY": b"\x00\xff"}


async def test_config_vars_are_of_one_environment_only(db: Database) -> None:
    shop = await db.call(environment_of, "shop")
    blog = await db.call(environment_of, "blog", "eve")
    await db.call(config_vars.set, shop.id, "KEY", b"secret")
    assert await db.read(config_vars.of, blog.id) == {}


async def test_a_formation_tells_none_from_never_scaled(db: Database) -> None:
    environment = await db.call(environment_of, "shop")
    await db.call(formation.set, environment.id, "worker", 3)
    await db.call(formation.set, environment.id, "web", 2)
    await db.call(formation.set, environment.id, "worker", 0)
    assert await db.read(formation.of, environment.id) == {"web": 2, "worker": 0}


async def test_a_setting_is_kept_until_it_is_set_again(db: Database) -> None:
    assert await db.read(installation.setting, "id") is None
    await db.call(installation.set, "id", "first")
    await db.call(installation.set, "id", "second")
    assert await db.read(installation.setting, "id") == "second"
