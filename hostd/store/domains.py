"""Domains: claims of Apps to host names, and who proved each name last."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select

from hostd.errors import Conflict, LimitExceeded, NotFound
from hostd.model.domain import DOMAINS_LIMIT, Domain, wildcard_over
from hostd.model.names import shown
from hostd.store.tables import domain_owners, domains


def create(
    connection: Connection, app_id: int, environment_id: int, host: str, token: str, now: datetime
) -> Domain:
    """A new claim. Raises Conflict if the App has one to this host or another has proved his, LimitExceeded."""
    if _where(connection, domains.c.app_id == app_id, domains.c.host == host):
        raise Conflict(f"this app has the domain {host} already", hint=f"hostd domains check {host}")
    _refuse_proved_elsewhere(connection, app_id, host)
    count = connection.scalar(select(func.count(domains.c.id)).where(domains.c.app_id == app_id)) or 0
    if count >= DOMAINS_LIMIT:
        raise LimitExceeded(f"an app has at most {DOMAINS_LIMIT} domains", hint="hostd domains remove DOMAIN")
    row = domains.insert().values(
        app_id=app_id,
        environment_id=environment_id,
        host=host,
        token=token,
        created_at=now,
        problem="",
        tries=0,
        next_try=now,
    )
    return _domain(connection.execute(row.returning(domains)).one())


def of_app(connection: Connection, app_id: int) -> Sequence[Domain]:
    """The App's, by name."""
    return _where(connection, domains.c.app_id == app_id)


def of_environment(connection: Connection, environment_id: int) -> Sequence[Domain]:
    """The Environment's, by name."""
    return _where(connection, domains.c.environment_id == environment_id)


def by_host(connection: Connection, app_id: int, host: str) -> Domain:
    """The App's claim to `host`. Raises NotFound."""
    found = _where(connection, domains.c.app_id == app_id, domains.c.host == host)
    if not found:
        raise NotFound(f"this app has no domain {shown(host)}", hint="which there are: hostd domains list")
    return found[0]


def proved(connection: Connection) -> Sequence[Domain]:
    """All that are proved, by name."""
    return _where(connection, domains.c.proved_at.is_not(None))


def due(connection: Connection, now: datetime, limit: int) -> Sequence[Domain]:
    """Those to be looked at by now, at most `limit`, the longest due first."""
    query = select(domains).where(domains.c.next_try <= now).order_by(domains.c.next_try).limit(limit)
    return [_domain(row) for row in connection.execute(query)]


def prove(connection: Connection, domain: Domain, owner_id: int) -> None:
    """Store `domain` as proved, for an App of this owner's. Raises Conflict if somebody was faster,
    NotFound if it is gone."""
    _refuse_proved_elsewhere(connection, domain.app_id, domain.host)
    update(connection, domain)
    connection.execute(domain_owners.delete().where(domain_owners.c.host == domain.host))
    connection.execute(domain_owners.insert().values(host=domain.host, owner_id=owner_id))


def update(connection: Connection, domain: Domain) -> None:
    """Store what the last look found. Raises NotFound if the claim is gone."""
    values = {
        "proved_at": domain.proved_at,
        "problem": domain.problem,
        "tries": domain.tries,
        "next_try": domain.next_try,
    }
    if connection.execute(domains.update().where(domains.c.id == domain.id).values(values)).rowcount == 0:
        raise NotFound(f"the domain {domain.host} was removed")


def remove(connection: Connection, domain_id: int) -> None:
    """Forget the claim; who proved it is remembered."""
    connection.execute(domains.delete().where(domains.c.id == domain_id))


def was_proved_by_another(connection: Connection, host: str, owner_id: int) -> bool:
    """Whether the last to prove `host`, or the wildcard over it, was somebody else."""
    names = or_(domain_owners.c.host == host, domain_owners.c.host == wildcard_over(host))
    query = select(domain_owners.c.host).where(names, domain_owners.c.owner_id != owner_id)
    return connection.execute(query).first() is not None


def _refuse_proved_elsewhere(connection: Connection, app_id: int, host: str) -> None:
    """In the same words whoever has it."""
    proved_elsewhere = (domains.c.host == host, domains.c.proved_at.is_not(None), domains.c.app_id != app_id)
    if connection.execute(select(domains.c.id).where(*proved_elsewhere)).first() is not None:
        raise Conflict(
            f"{host} is not available: another app has proved that it owns it",
            hint="remove it there first, or ask an administrator to",
        )


def _where(connection: Connection, *conditions: ColumnElement[bool]) -> list[Domain]:
    return [
        _domain(row)
        for row in connection.execute(select(domains).where(*conditions).order_by(domains.c.host))
    ]


def _domain(row: Row[Any]) -> Domain:
    return Domain(
        row.id,
        row.app_id,
        row.environment_id,
        row.host,
        row.token,
        row.proved_at,
        row.problem,
        row.tries,
        row.next_try,
    )
