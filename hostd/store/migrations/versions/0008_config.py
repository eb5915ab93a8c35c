"""Scopes and secrets of ConfigVars, and groups of them that Environments share."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

# What builds saw until now, without what is likely to be a secret.
_PREFIXES = ("VITE_", "NEXT_PUBLIC_", "PUBLIC_", "REACT_APP_", "BP_", "DISABLE_")
_NAMES = "NODE_ENV NODE_VERSION NODE_OPTIONS UV_INDEX_URL UV_DEFAULT_INDEX PIP_INDEX_URL".split()


def upgrade() -> None:
    for table in ("config_vars", "preview_config_vars"):
        op.add_column(table, sa.Column("secret", sa.Boolean, nullable=False, server_default=sa.false()))
        op.add_column(table, sa.Column("scopes", sa.String, nullable=False, server_default="run"))
        variables = sa.table(table, sa.column("name"), sa.column("scopes"))
        begins = [variables.c.name.startswith(prefix, autoescape=True) for prefix in _PREFIXES]
        seen = sa.or_(variables.c.name.in_(_NAMES), *begins)
        op.execute(variables.update().where(seen).values(scopes="run,build"))
    op.create_table(
        "config_groups",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("owner_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False, index=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "config_group_vars",
        sa.Column("group_id", sa.Integer, sa.ForeignKey("config_groups.id"), primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("secret", sa.Boolean, nullable=False),
        sa.Column("scopes", sa.String, nullable=False),
    )
    op.create_table(
        "config_group_attachments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("group_id", sa.Integer, sa.ForeignKey("config_groups.id"), nullable=False),
        sa.Column("environment_id", sa.Integer, sa.ForeignKey("environments.id"), nullable=False, index=True),
        sa.UniqueConstraint("group_id", "environment_id"),
        sqlite_autoincrement=True,
    )
