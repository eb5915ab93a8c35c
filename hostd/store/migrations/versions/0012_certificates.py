"""Certificates, and what an App says about TLS."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "certificates",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("app_id", sa.Integer, index=True),
        sa.Column("uploaded", sa.Boolean, nullable=False),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("not_before", sa.BigInteger),
        sa.Column("not_after", sa.BigInteger),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_try", sa.BigInteger),
    )
    op.create_table(
        "tls_settings",
        sa.Column("app_id", sa.Integer, sa.ForeignKey("apps.id"), primary_key=True),
        sa.Column("redirect", sa.Boolean, nullable=False),
        sa.Column("hsts", sa.Integer, nullable=False),
    )
