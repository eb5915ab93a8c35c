"""Which Release a Rollback repeats, and which Releases are pinned."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("releases", sa.Column("repeats", sa.Integer))
    op.add_column("releases", sa.Column("pinned", sa.Boolean, nullable=False, server_default=sa.false()))
