"""What holds for all Previews of an App: PreviewSettings. Their ConfigVars are in `config_vars`."""

from sqlalchemy import Connection, select

from hostd.model.preview import PreviewSettings
from hostd.store.tables import preview_settings


def settings_of(connection: Connection, app_id: int) -> PreviewSettings:
    """The App's, as they begin if they were never set."""
    mine = select(preview_settings).where(preview_settings.c.app_id == app_id)
    row = connection.execute(mine).first()
    return PreviewSettings(row.enabled, row.days, row.password) if row else PreviewSettings()


def set_settings(connection: Connection, app_id: int, settings: PreviewSettings) -> None:
    """From now on these are the App's."""
    values = {"enabled": settings.enabled, "days": settings.days, "password": settings.password}
    update = preview_settings.update().where(preview_settings.c.app_id == app_id).values(values)
    if connection.execute(update).rowcount == 0:
        connection.execute(preview_settings.insert().values(app_id=app_id, **values))
