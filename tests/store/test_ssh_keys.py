import pytest

from hostd.errors import Conflict, NotFound
from hostd.model.ssh_key import PublicKey
from hostd.store import ssh_keys, users
from hostd.store.database import Database
from tests.store.samples import LATER, NOW

KEY = PublicKey("ssh-ed25519 AAAA", "ada@laptop", "SHA256:one")
OTHER = PublicKey("ssh-rsa AAAA", "", "SHA256:two")


async def people(db: Database) -> tuple[int, int]:
    """The ids of ada and bob."""
    ada = await db.call(users.create, "ada", False, NOW)
    return ada.id, (await db.call(users.create, "bob", False, NOW)).id


async def test_keys_are_listed_for_their_user_newest_first(db: Database) -> None:
    ada, bob = await people(db)
    first = await db.call(ssh_keys.create, ada, KEY, "laptop", NOW)
    second = await db.call(ssh_keys.create, ada, OTHER, "old", NOW)
    assert await db.read(ssh_keys.list_of, ada) == [second, first]
    assert await db.read(ssh_keys.list_of, bob) == []
    assert (first.name, first.type, first.last_used_at) == ("laptop", "ssh-ed25519", None)
    assert await db.read(ssh_keys.owners) == {"SHA256:one": ada, "SHA256:two": ada}


async def test_a_key_is_there_once_whoever_has_it(db: Database) -> None:
    ada, bob = await people(db)
    await db.call(ssh_keys.create, ada, KEY, "laptop", NOW)
    with pytest.raises(Conflict, match="you have added this key already"):
        await db.call(ssh_keys.create, ada, KEY, "again", NOW)
    with pytest.raises(Conflict, match="another user has this key"):
        await db.call(ssh_keys.create, bob, KEY, "mine", NOW)


async def test_only_its_owner_can_remove_a_key(db: Database) -> None:
    ada, bob = await people(db)
    key = await db.call(ssh_keys.create, ada, KEY, "laptop", NOW)
    with pytest.raises(NotFound, match="you have no key with the id"):
        await db.call(ssh_keys.remove, bob, key.id)
    assert await db.call(ssh_keys.remove, ada, key.id) == "SHA256:one"
    with pytest.raises(NotFound):
        await db.call(ssh_keys.remove, ada, key.id)
    assert await db.read(ssh_keys.owners) == {}


async def test_the_last_use_of_a_key_is_noted(db: Database) -> None:
    ada, _ = await people(db)
    await db.call(ssh_keys.create, ada, KEY, "laptop", NOW)
    await db.call(ssh_keys.used, "SHA256:one", LATER)
    assert [key.last_used_at for key in await db.read(ssh_keys.list_of, ada)] == [LATER]
