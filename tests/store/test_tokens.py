import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from hostd.errors import NotFound
from hostd.model.app import User
from hostd.model.token import TokenInfo
from hostd.store import tokens, users
from hostd.store.database import Database
from tests.store.samples import LATER, NOW


async def issued(db: Database, user: str = "ada") -> tuple[User, str]:
    ada = await db.call(users.create, user, False, NOW)
    return ada, await db.call(tokens.issue, ada.id, "laptop", NOW)


async def listed(db: Database, user: User) -> Sequence[TokenInfo]:
    return await db.read(tokens.list_of, user.id)


async def test_a_token_stands_for_its_user(db: Database) -> None:
    ada, token = await issued(db)
    assert re.fullmatch(r"hst_[a-z2-7]{32}", token)
    assert await db.read(tokens.user_of, token, LATER) == ada


@pytest.mark.parametrize(
    "wrong", ["", "hst_", "hst_" + "a" * 32, "x\0", "\udcff", "' or 1=1 --", "a" * 100_000]
)
async def test_what_was_never_issued_stands_for_nobody(db: Database, wrong: str) -> None:
    await issued(db)
    assert await db.read(tokens.user_of, wrong, NOW) is None


async def test_a_token_is_nowhere_in_the_files(db: Database, path: Path) -> None:
    _, token = await issued(db)
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"laptop" in content
    assert token.encode() not in content
    assert token.removeprefix(tokens.PREFIX).encode() not in content


async def test_a_token_ends_when_it_expires(db: Database) -> None:
    ada, _ = await issued(db)
    token = await db.call(tokens.issue, ada.id, "for an hour", NOW, LATER)
    assert await db.read(tokens.user_of, token, LATER - timedelta(microseconds=1)) == ada
    assert await db.read(tokens.user_of, token, LATER) is None


async def test_a_revoked_token_stands_for_nobody_and_is_not_listed(db: Database) -> None:
    ada, token = await issued(db)
    kept = await db.call(tokens.issue, ada.id, "server", NOW)
    (_, laptop) = await listed(db, ada)
    await db.call(tokens.revoke, ada.id, laptop.id, NOW)
    assert await db.read(tokens.user_of, token, NOW) is None
    assert await db.read(tokens.user_of, kept, NOW) == ada
    assert [info.name for info in await listed(db, ada)] == ["server"]


async def test_nobody_revokes_the_token_of_another_user(db: Database) -> None:
    ada, token = await issued(db)
    eve, _ = await issued(db, "eve")
    (laptop,) = await listed(db, ada)
    with pytest.raises(NotFound):
        await db.call(tokens.revoke, eve.id, laptop.id, NOW)
    assert await db.read(tokens.user_of, token, NOW) == ada


async def test_the_last_use_of_a_token_is_known_to_the_minute(db: Database) -> None:
    ada, token = await issued(db)
    assert [info.last_used_at for info in await listed(db, ada)] == [None]
    await db.call(tokens.used, token, NOW)
    await db.call(tokens.used, token, NOW + timedelta(seconds=59))
    assert [info.last_used_at for info in await listed(db, ada)] == [NOW]
    await db.call(tokens.used, token, NOW + timedelta(seconds=60))
    assert await listed(db, ada) == [TokenInfo(1, "laptop", NOW, None, NOW + timedelta(seconds=60))]
