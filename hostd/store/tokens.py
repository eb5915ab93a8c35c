"""Tokens: secrets that stand for a User. Only the SHA-256 is stored: 160 random bits cannot be guessed from it."""

import base64
import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, or_, select

from hostd.errors import NotFound
from hostd.model.app import User
from hostd.model.token import TokenInfo
from hostd.store.tables import tokens, users
from hostd.store.users import user

PREFIX = "hst_"
RANDOM_BYTES = 20
USE_RECORDED = timedelta(
    minutes=1
)  # how exact last_used_at is: a write for every request would cost too much


def issue(
    connection: Connection, user_id: int, name: str, now: datetime, expires_at: datetime | None = None
) -> str:
    """A new Token for the User; this is the only time it can be seen."""
    token = PREFIX + base64.b32encode(secrets.token_bytes(RANDOM_BYTES)).decode().lower()
    row = tokens.insert().values(
        sha256=_sha256(token), user_id=user_id, name=name, created_at=now, expires_at=expires_at
    )
    connection.execute(row)
    return token


def user_of(connection: Connection, token: str, now: datetime) -> User | None:
    """Whom the Token stands for; None if it is unknown, expired or revoked. Only reads."""
    query = (
        select(users)
        .join(tokens)
        .where(tokens.c.sha256 == _sha256(token), tokens.c.revoked_at.is_(None))
        .where(or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now))
    )
    row = connection.execute(query).one_or_none()
    return user(row) if row else None


def expiry_of(connection: Connection, token: str) -> datetime | None:
    """When the Token ends to stand for its User; None: never."""
    return connection.scalar(select(tokens.c.expires_at).where(tokens.c.sha256 == _sha256(token)))


def used(connection: Connection, token: str, now: datetime) -> None:
    """Note that the Token was used, unless that was noted less than USE_RECORDED ago."""
    stale = or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at <= now - USE_RECORDED)
    connection.execute(
        tokens.update().where(tokens.c.sha256 == _sha256(token), stale).values(last_used_at=now)
    )


def list_of(connection: Connection, user_id: int) -> Sequence[TokenInfo]:
    """The User's Tokens that are not revoked, newest first; expired ones are among them."""
    query = (
        select(tokens)
        .where(tokens.c.user_id == user_id, tokens.c.revoked_at.is_(None))
        .order_by(tokens.c.id.desc())
    )
    return [
        TokenInfo(row.id, row.name, row.created_at, row.expires_at, row.last_used_at)
        for row in connection.execute(query)
    ]


def revoke(connection: Connection, user_id: int, token_id: int, now: datetime) -> None:
    """From now on the Token stands for nobody. Raises NotFound if it is not a living one of this User's."""
    mine = (tokens.c.id == token_id, tokens.c.user_id == user_id, tokens.c.revoked_at.is_(None))
    if connection.execute(tokens.update().where(*mine).values(revoked_at=now)).rowcount == 0:
        raise NotFound(f"you have no token with the id {token_id}")


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
