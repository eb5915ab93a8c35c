"""Runs of one-off commands, of `hostd run` and of cron jobs, and how far the latter were counted."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("environment_id", sa.Integer, sa.ForeignKey("environments.id"), nullable=False),
        sa.Column("job", sa.String(64), nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("release_number", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Integer, nullable=False),
        sa.Column("attached", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("status", sa.Integer),
        sa.Column("limit", sa.String(16), nullable=False),
        sa.Column("output", sa.Text, nullable=False),
        sa.UniqueConstraint("environment_id", "job", "due_at", name="uq_runs_environment_id_job_due_at"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "cron_jobs",
        sa.Column("environment_id", sa.Integer, sa.ForeignKey("environments.id"), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("schedule", sa.String, nullable=False),
        sa.Column("counted_until", sa.BigInteger, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
    )
