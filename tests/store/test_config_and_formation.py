from hostd.model.config import Scope
from hostd.store import config_vars, formation, installation
from hostd.store.config_vars import StoredVar
from hostd.store.database import Database
from tests.store.samples import environment_of

KEY = StoredVar(b"\x00\xff", secret=True, scopes=frozenset({Scope.RUN}))
DEBUG = StoredVar(b"1", secret=False, scopes=frozenset({Scope.BUILD, Scope.PREVIEW}))


async def test_config_vars_are_set_changed_and_unset(db: Database) -> None:
    environment = await db.call(environment_of, "shop")
    mine = config_vars.environment(environment.id)
    await db.call(config_vars.set, mine, "KEY", KEY)
    await db.call(config_vars.set, mine, "DEBUG", KEY)
    await db.call(config_vars.set, mine, "DEBUG", DEBUG)
    assert await db.read(config_vars.of, mine) == {"DEBUG": DEBUG, "KEY": KEY}
    assert await db.call(config_vars.unset, mine, "DEBUG") is True
    assert await db.call(config_vars.unset, mine, "DEBUG") is False
    assert await db.read(config_vars.of, mine) == {"KEY": KEY}


async def test_config_vars_are_of_one_environment_only(db: Database) -> None:
    shop = await db.call(environment_of, "shop")
    blog = await db.call(environment_of, "blog", "eve")
    await db.call(config_vars.set, config_vars.environment(shop.id), "KEY", KEY)
    assert await db.read(config_vars.of, config_vars.environment(blog.id)) == {}


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
