"""How Environments are autoscaled."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "autoscale_rules",
        sa.Column("environment_id", sa.Integer, sa.ForeignKey("environments.id"), primary_key=True),
        sa.Column("least", sa.Integer, nullable=False),
        sa.Column("most", sa.Integer, nullable=False),
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("p95_ms", sa.Integer),
    )
