import pytest
from sqlalchemy import LargeBinary

from hostd.store import config_groups, config_vars, encrypted, releases
from hostd.store.database import Database
from hostd.store.tables import Encrypted, metadata
from tests.store.samples import NOW, VAR, environment_of, release_of


def test_every_column_of_bytes_says_that_it_is_encrypted() -> None:
    for table in metadata.sorted_tables:
        for column in table.columns:
            assert not isinstance(column.type, LargeBinary), f"{column}: make it Encrypted, or think twice"
    found = {str(column) for column in encrypted.columns()}
    assert found >= {
        "config_vars.value",
        "preview_config_vars.value",
        "config_group_vars.value",
        "releases.config",
        "forges.secret",
        "forges.token",
    }
    assert all(isinstance(column.type, Encrypted) for column in encrypted.columns())


async def test_everything_encrypted_is_encrypted_anew_and_nothing_else_changes(db: Database) -> None:
    environment = await db.call(environment_of, "shop")
    group = await db.call(config_groups.create, "shared", 1, NOW)
    holders = [
        config_vars.environment(environment.id),
        config_vars.previews(environment.app_id),
        config_vars.group(group.id),
    ]
    for holder in holders:
        await db.call(config_vars.set, holder, "KEY", VAR)
    release = await db.call(release_of, environment.id)
    assert await db.call(encrypted.encrypt_anew, lambda value: b"new " + value) == 4
    for holder in holders:
        (var,) = (await db.read(config_vars.of, holder)).values()
        assert (var.value, var.secret, var.scopes) == (b"new secret", VAR.secret, VAR.scopes)
    seen: list[bytes] = []

    def note(value: bytes) -> dict[str, str]:
        seen.append(value)
        return {}

    again = await db.read(releases.by_number, environment.id, release.number, note)
    assert (again.commit, again.reason) == (release.commit, release.reason)
    assert seen[0].startswith(b"new ")


async def test_one_that_cannot_be_encrypted_anew_leaves_all_as_they_were(db: Database) -> None:
    environment = await db.call(environment_of, "shop")
    holder = config_vars.environment(environment.id)
    for name in ("A", "B"):
        await db.call(config_vars.set, holder, name, VAR)
    left = [b"new"]
    with pytest.raises(IndexError):
        await db.call(encrypted.encrypt_anew, lambda _: left.pop())
    assert await db.read(config_vars.of, holder) == {"A": VAR, "B": VAR}
