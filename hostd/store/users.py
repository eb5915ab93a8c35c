"""Users: who may act."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from hostd.errors import Conflict, NotFound
from hostd.model.app import User
from hostd.model.names import shown
from hostd.store.tables import users


def create(connection: Connection, name: str, administrator: bool, now: datetime) -> User:
    """A new User. Raises Conflict if there is one called `name`."""
    if connection.scalar(select(users.c.id).where(users.c.name == name)) is not None:
        raise Conflict(f"there is a user called {name} already")
    row = users.insert().values(name=name, administrator=administrator, created_at=now)
    user_id = connection.execute(row.returning(users.c.id)).scalar_one()
    return User(user_id, name, administrator)


def by_id(connection: Connection, user_id: int) -> User:
    """Raises NotFound."""
    row = connection.execute(select(users).where(users.c.id == user_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no user with the id {user_id}")
    return user(row)


def by_name(connection: Connection, name: str) -> User:
    """Raises NotFound."""
    row = connection.execute(select(users).where(users.c.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"there is no user called {shown(name)}")
    return user(row)


def count(connection: Connection) -> int:
    """How many there are: none means that this installation is new."""
    return connection.scalar(select(func.count()).select_from(users)) or 0


def user(row: Row[Any]) -> User:
    """The User in a row of `users`."""
    return User(row.id, row.name, row.administrator)
