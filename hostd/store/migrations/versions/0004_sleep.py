"""After how many idle seconds an Environment sleeps."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "sleep_settings",
        sa.Column("environment_id", sa.Integer, sa.ForeignKey("environments.id"), primary_key=True),
        sa.Column("after", sa.Integer, nullable=False),
    )
