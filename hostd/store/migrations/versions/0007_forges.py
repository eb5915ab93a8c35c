"""Forges that Apps follow, what they delivered, and which branches came from forks."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "forges",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("app_id", sa.Integer, sa.ForeignKey("apps.id"), nullable=False, unique=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("repository", sa.String, nullable=False),
        sa.Column("api", sa.String, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("token", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    _create_deliveries()
    op.create_table(
        "fork_branches",
        sa.Column("app_id", sa.Integer, sa.ForeignKey("apps.id"), primary_key=True),
        sa.Column("branch", sa.String, primary_key=True),
    )


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("forge_id", sa.String(32), sa.ForeignKey("forges.id"), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("branch", sa.String, nullable=False),
        sa.Column("commit_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("release", sa.String, nullable=False),
        sa.Column("url", sa.String, nullable=False),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("approved_by", sa.String, nullable=False),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.BigInteger),
        sa.UniqueConstraint("forge_id", "key"),
        sqlite_autoincrement=True,
    )
