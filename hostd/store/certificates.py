"""Certificates: one row for each host that has one, or is to have one. No key ever comes here."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from hostd.errors import NotFound
from hostd.model.certificate import Certificate
from hostd.store.tables import certificates


def every(connection: Connection) -> Sequence[Certificate]:
    """All, by host."""
    return _where(connection)


def of_app(connection: Connection, app_id: int) -> Sequence[Certificate]:
    """The App's, by host."""
    return _where(connection, certificates.c.app_id == app_id)


def by_host(connection: Connection, app_id: int, host: str) -> Certificate:
    """The App's for `host`. Raises NotFound."""
    found = _where(connection, certificates.c.app_id == app_id, certificates.c.host == host)
    if not found:
        raise NotFound(f"this app has no certificate for {host}", hint="which there are: hostd certs list")
    return found[0]


def put(connection: Connection, certificate: Certificate) -> None:
    """From now on this is what is known of its host."""
    remove(connection, certificate.host)
    connection.execute(
        certificates.insert().values(
            host=certificate.host,
            app_id=certificate.app_id,
            uploaded=certificate.uploaded,
            chain=certificate.chain,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            problem=certificate.problem,
            tries=certificate.tries,
            next_try=certificate.next_try,
        )
    )


def remove(connection: Connection, host: str) -> None:
    """Forget it; nothing if it is not there."""
    connection.execute(certificates.delete().where(certificates.c.host == host))


def _where(connection: Connection, *conditions: ColumnElement[bool]) -> list[Certificate]:
    query = select(certificates).where(*conditions).order_by(certificates.c.host)
    return [_certificate(row) for row in connection.execute(query)]


def _certificate(row: Row[Any]) -> Certificate:
    return Certificate(
        row.host,
        row.app_id,
        row.uploaded,
        row.chain,
        row.not_before,
        row.not_after,
        row.problem,
        row.tries,
        row.next_try,
    )
