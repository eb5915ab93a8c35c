"""The AutoscaleRules of Environments that have one."""

from collections.abc import Mapping

from sqlalchemy import Connection, select

from hostd.model.autoscale import AutoscaleRule
from hostd.store.tables import autoscale_rules as rules


def every(connection: Connection) -> Mapping[int, AutoscaleRule]:
    """By Environment id."""
    return {
        row.environment_id: AutoscaleRule(row.least, row.most, row.concurrency, row.p95_ms)
        for row in connection.execute(select(rules))
    }


def set_rule(connection: Connection, environment_id: int, rule: AutoscaleRule) -> None:
    """From now on this rule, in the place of the one there was."""
    remove(connection, environment_id)
    row = rules.insert().values(
        environment_id=environment_id,
        least=rule.least,
        most=rule.most,
        concurrency=rule.concurrency,
        p95_ms=rule.p95_ms,
    )
    connection.execute(row)


def remove(connection: Connection, environment_id: int) -> bool:
    """No rule any more; False if there was none."""
    return connection.execute(rules.delete().where(rules.c.environment_id == environment_id)).rowcount > 0
