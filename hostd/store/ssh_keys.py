"""SSH keys that Users have added. A fingerprint is there at most once: a key stands for one User."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from hostd.errors import Conflict, NotFound
from hostd.model.ssh_key import PublicKey, SshKey
from hostd.store.tables import ssh_keys
from hostd.store.tokens import USE_RECORDED


def create(connection: Connection, user_id: int, key: PublicKey, name: str, now: datetime) -> SshKey:
    """The key as one of this User's. Raises Conflict if it is there already, in words for either owner."""
    owner = connection.scalar(select(ssh_keys.c.user_id).where(ssh_keys.c.fingerprint == key.fingerprint))
    if owner is not None:
        whose = "you have added this key already" if owner == user_id else "another user has this key"
        raise Conflict(f"{whose} ({key.fingerprint})", hint="your keys: hostd keys list")
    row = ssh_keys.insert().values(
        user_id=user_id, name=name, fingerprint=key.fingerprint, line=key.line, created_at=now
    )
    return _key(connection.execute(row.returning(ssh_keys)).one())


def list_of(connection: Connection, user_id: int) -> Sequence[SshKey]:
    """The User's keys, newest first."""
    query = select(ssh_keys).where(ssh_keys.c.user_id == user_id).order_by(ssh_keys.c.id.desc())
    return [_key(row) for row in connection.execute(query)]


def remove(connection: Connection, user_id: int, key_id: int) -> str:
    """Forget the key; its fingerprint. Raises NotFound if it is not one of this User's."""
    mine = (ssh_keys.c.id == key_id, ssh_keys.c.user_id == user_id)
    gone = connection.execute(ssh_keys.delete().where(*mine).returning(ssh_keys.c.fingerprint)).scalar()
    if gone is None:
        raise NotFound(f"you have no key with the id {key_id}", hint="your keys: hostd keys list")
    return str(gone)


def owners(connection: Connection) -> Mapping[str, int]:
    """Every fingerprint, and the id of the User it stands for."""
    query = select(ssh_keys.c.fingerprint, ssh_keys.c.user_id)
    return {row.fingerprint: row.user_id for row in connection.execute(query)}


def used(connection: Connection, fingerprint: str, now: datetime) -> None:
    """Note that the key was used, unless that was noted less than USE_RECORDED ago."""
    stale = or_(ssh_keys.c.last_used_at.is_(None), ssh_keys.c.last_used_at <= now - USE_RECORDED)
    connection.execute(
        ssh_keys.update().where(ssh_keys.c.fingerprint == fingerprint, stale).values(last_used_at=now)
    )


def _key(row: Row[Any]) -> SshKey:
    kind = row.line.partition(" ")[0]
    return SshKey(row.id, row.user_id, row.name, row.fingerprint, kind, row.created_at, row.last_used_at)
