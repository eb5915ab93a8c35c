"""What holds for all Previews of an App: PreviewSettings, and ConfigVars, which are encrypted before they come here."""

from sqlalchemy import ColumnElement, Connection, select

from hostd.model.preview import PreviewSettings
from hostd.store.tables import preview_config_vars, preview_settings


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


def config_of(connection: Connection, app_id: int) -> dict[str, bytes]:
    """The ConfigVars that every Preview of the App has, encrypted, by name."""
    mine = select(preview_config_vars).where(preview_config_vars.c.app_id == app_id)
    return {row.name: row.value for row in connection.execute(mine.order_by(preview_config_vars.c.name))}


def set_config_var(connection: Connection, app_id: int, name: str, value: bytes) -> None:
    """Give `name` the encrypted `value`, whether it had one or not."""
    update = preview_config_vars.update().where(*_this(app_id, name)).values(value=value)
    if connection.execute(update).rowcount == 0:
        row = preview_config_vars.insert().values(app_id=app_id, name=name, value=value)
        connection.execute(row)


def unset_config_var(connection: Connection, app_id: int, name: str) -> None:
    """Forget `name`. Nothing if there was none."""
    connection.execute(preview_config_vars.delete().where(*_this(app_id, name)))


def _this(app_id: int, name: str) -> tuple[ColumnElement[bool], ...]:
    return preview_config_vars.c.app_id == app_id, preview_config_vars.c.name == name
