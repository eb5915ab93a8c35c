"""Domains of Apps, and who proved each of them last."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "domains",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("app_id", sa.Integer, sa.ForeignKey("apps.id"), nullable=False),
        sa.Column("environment_id", sa.Integer, sa.ForeignKey("environments.id"), nullable=False, index=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("proved_at", sa.BigInteger),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_try", sa.BigInteger, index=True),
        sa.UniqueConstraint("app_id", "host"),
        sqlite_autoincrement=True,
    )
    proved = sa.text("proved_at IS NOT NULL")
    op.create_index("one_proved_domain", "domains", ["host"], unique=True, sqlite_where=proved)
    op.create_table(
        "domain_owners",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("owner_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
    )
