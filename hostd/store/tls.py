"""What an App says about TLS at all of its hosts."""

from sqlalchemy import Connection, select

from hostd.model.app import TlsSettings
from hostd.store.tables import tls_settings


def settings_of(connection: Connection, app_id: int) -> TlsSettings:
    """The App's, as they begin if they were never set."""
    row = connection.execute(select(tls_settings).where(tls_settings.c.app_id == app_id)).first()
    return TlsSettings(row.redirect, row.hsts) if row else TlsSettings()


def set_settings(connection: Connection, app_id: int, settings: TlsSettings) -> None:
    """From now on these are the App's."""
    connection.execute(tls_settings.delete().where(tls_settings.c.app_id == app_id))
    values = {"app_id": app_id, "redirect": settings.redirect, "hsts": settings.hsts}
    connection.execute(tls_settings.insert().values(values))
