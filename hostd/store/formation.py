"""Formation of an Environment: how many Instances of each ProcessType. What is not here was never scaled."""

from sqlalchemy import Connection, select

from hostd.store.tables import formation


def of(connection: Connection, environment_id: int) -> dict[str, int]:
    """Quantities by ProcessType; 0 is kept: it was scaled to none."""
    mine = select(formation).where(formation.c.environment_id == environment_id)
    return {row.process: row.quantity for row in connection.execute(mine.order_by(formation.c.process))}


def set(connection: Connection, environment_id: int, process: str, quantity: int) -> None:
    """From now on `quantity` Instances of `process`."""
    this = (formation.c.environment_id == environment_id, formation.c.process == process)
    if connection.execute(formation.update().where(*this).values(quantity=quantity)).rowcount == 0:
        row = formation.insert().values(environment_id=environment_id, process=process, quantity=quantity)
        connection.execute(row)
