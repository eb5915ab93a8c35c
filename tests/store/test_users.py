import pytest

from hostd.errors import Conflict, NotFound
from hostd.model.app import User
from hostd.store import users
from hostd.store.database import Database
from tests.store.samples import NOW


async def test_a_user_is_found_by_id_and_by_name(db: Database) -> None:
    ada = await db.call(users.create, "ada", True, NOW)
    assert ada == User(1, "ada", True)
    assert await db.read(users.by_id, ada.id) == ada
    assert await db.read(users.by_name, "ada") == ada


async def test_an_installation_is_new_until_it_has_a_user(db: Database) -> None:
    assert await db.read(users.count) == 0
    await db.call(users.create, "ada", True, NOW)
    assert await db.read(users.count) == 1


async def test_a_user_name_is_given_once(db: Database) -> None:
    await db.call(users.create, "ada", False, NOW)
    with pytest.raises(Conflict, match="a user called ada already"):
        await db.call(users.create, "ada", True, NOW)


async def test_a_user_that_is_not_there_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound, match="no user with the id 7"):
        await db.read(users.by_id, 7)
    with pytest.raises(NotFound, match=r"no user called 'x\\n'"):
        await db.read(users.by_name, "x\n")
