"""The tables as they are now; `migrations` holds how they came to be, and a test compares the two.

Times are integers: microseconds since the epoch, UTC. Secrets come encrypted and go encrypted.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds since the epoch: exact, sortable, the same in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """A naive datetime raises TypeError: it would be somebody's local time."""
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """The same moment, in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Encrypted(TypeDecorator[bytes]):
    """What hostd's key encrypted before it came here. `store.encrypted` finds all columns of this type by it."""

    impl = LargeBinary
    cache_ok = True


def config_columns() -> tuple[Column[Any], ...]:
    """What a ConfigVar is, whoever holds it. `scopes` is as `model.config.scopes_text` has it."""
    return (
        Column("name", String, primary_key=True),
        Column("value", Encrypted, nullable=False),
        Column("secret", Boolean, nullable=False),
        Column("scopes", String, nullable=False),
    )


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("administrator", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
    Column("last_used_at", UtcTime),
    sqlite_autoincrement=True,
)

ssh_keys = Table(
    "ssh_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("line", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("last_used_at", UtcTime),
    sqlite_autoincrement=True,
)

# The row of a destroyed App stays: its name is never given to anybody again, nor its id, which is also a uid.
apps = Table(
    "apps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("owner_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("production_branch", String, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("destroyed_at", UtcTime),
    sqlite_autoincrement=True,
)

environments = Table(
    "environments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("app_id", ForeignKey("apps.id"), nullable=False),
    Column("name", String, nullable=False),
    Column("branch", String, nullable=False),
    Column("host", String, nullable=False, unique=True),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("app_id", "name"),
    sqlite_autoincrement=True,
)

config_vars = Table(
    "config_vars",
    metadata,
    Column("environment_id", ForeignKey("environments.id"), primary_key=True),
    *config_columns(),
)

# What holds for all Previews of an App; no row: as PreviewSettings begins.
preview_settings = Table(
    "preview_settings",
    metadata,
    Column("app_id", ForeignKey("apps.id"), primary_key=True),
    Column("enabled", Boolean, nullable=False),
    Column("days", Integer, nullable=False),
    Column("password", String, nullable=False),
)

preview_config_vars = Table(
    "preview_config_vars",
    metadata,
    Column("app_id", ForeignKey("apps.id"), primary_key=True),
    *config_columns(),
)

# A named set of ConfigVars that several Environments share.
config_groups = Table(
    "config_groups",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("owner_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("created_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)

config_group_vars = Table(
    "config_group_vars",
    metadata,
    Column("group_id", ForeignKey("config_groups.id"), primary_key=True),
    *config_columns(),
)

# `id` is the order of attaching: of two groups with the same name in them the later one wins.
config_group_attachments = Table(
    "config_group_attachments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("group_id", ForeignKey("config_groups.id"), nullable=False),
    Column("environment_id", ForeignKey("environments.id"), nullable=False, index=True),
    UniqueConstraint("group_id", "environment_id"),
    sqlite_autoincrement=True,
)

formation = Table(
    "formation",
    metadata,
    Column("environment_id", ForeignKey("environments.id"), primary_key=True),
    Column("process", String, primary_key=True),
    Column("quantity", Integer, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("environment_id", ForeignKey("environments.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("image", Text, nullable=False),
    Column("config", Encrypted, nullable=False),
    Column("commit_id", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("author", String, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("failure", Text, nullable=False),
    Column("repeats", Integer),
    Column("pinned", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("environment_id", "number"),
    sqlite_autoincrement=True,
)
_LIVE = text("state = 'live'")
Index("one_live_release", releases.c.environment_id, unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE)

builds = Table(
    "builds",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("environment_id", ForeignKey("environments.id"), nullable=False, index=True),
    Column("commit_id", String(64), nullable=False),
    Column("author", String, nullable=False),
    Column("state", String(16), nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    Column("reason", Text, nullable=False),
    Column("release_number", Integer),
    Column("transcript", Text, nullable=False),
    sqlite_autoincrement=True,
)

settings = Table(
    "settings",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", Text, nullable=False),
)

pauses = Table(
    "pauses",
    metadata,
    Column("environment_id", ForeignKey("environments.id"), primary_key=True),
    Column("author", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
)

sleep_settings = Table(
    "sleep_settings",
    metadata,
    Column("environment_id", ForeignKey("environments.id"), primary_key=True),
    Column("after", Integer, nullable=False),
)

# The claims of Apps to host names. Several may claim one; at most one of them is proved.
domains = Table(
    "domains",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("app_id", ForeignKey("apps.id"), nullable=False),
    Column("environment_id", ForeignKey("environments.id"), nullable=False, index=True),
    Column("host", String(255), nullable=False),
    Column("token", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("proved_at", UtcTime),
    Column("problem", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try", UtcTime, index=True),
    UniqueConstraint("app_id", "host"),
    sqlite_autoincrement=True,
)
_PROVED = text("proved_at IS NOT NULL")
Index("one_proved_domain", domains.c.host, unique=True, sqlite_where=_PROVED, postgresql_where=_PROVED)

# Who proved a host last, also when the Domain is gone: a name that still points here is not the next one's to take.
domain_owners = Table(
    "domain_owners",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("owner_id", ForeignKey("users.id"), nullable=False),
)

forges = Table(
    "forges",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("app_id", ForeignKey("apps.id"), nullable=False, unique=True),
    Column("user_id", ForeignKey("users.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("repository", String, nullable=False),
    Column("api", String, nullable=False),
    Column("secret", Encrypted, nullable=False),
    Column("token", Encrypted),
    Column("created_at", UtcTime, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("forge_id", ForeignKey("forges.id"), nullable=False),
    Column("key", String(128), nullable=False),
    Column("what", String(32), nullable=False),
    Column("branch", String, nullable=False),
    Column("commit_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("release", String, nullable=False),
    Column("url", String, nullable=False),
    Column("report", Text, nullable=False),
    Column("approved_by", String, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    UniqueConstraint("forge_id", "key"),
    sqlite_autoincrement=True,
)

# Branches that hold what came from a fork: no ConfigVars for what runs them, whoever pushes to them later.
fork_branches = Table(
    "fork_branches",
    metadata,
    Column("app_id", ForeignKey("apps.id"), primary_key=True),
    Column("branch", String, primary_key=True),
)

# How many web Instances an Environment has by itself; no row: as many as it was scaled to.
autoscale_rules = Table(
    "autoscale_rules",
    metadata,
    Column("environment_id", ForeignKey("environments.id"), primary_key=True),
    Column("least", Integer, nullable=False),
    Column("most", Integer, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("p95_ms", Integer),
)

# What a schedule wants at one time is there once.
runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("environment_id", ForeignKey("environments.id"), nullable=False),
    Column("job", String(64), nullable=False),
    Column("command", Text, nullable=False),
    Column("author", String, nullable=False),
    Column("due_at", UtcTime),
    Column("release_number", Integer, nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("attached", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("status", Integer),
    Column("limit", String(16), nullable=False),
    Column("output", Text, nullable=False),
    UniqueConstraint("environment_id", "job", "due_at"),
    sqlite_autoincrement=True,
)

# How far each cron job was counted: what was due until then has run, was skipped, or was never wanted.
cron_jobs = Table(
    "cron_jobs",
    metadata,
    Column("environment_id", ForeignKey("environments.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("schedule", String, nullable=False),
    Column("counted_until", UtcTime, nullable=False),
    Column("paused", Boolean, nullable=False),
)

# What is public of each certificate; its key lies with the router, for when that starts without hostd. A row outlives
# its App (hence no foreign key) until the router has forgotten the key.
certificates = Table(
    "certificates",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("app_id", Integer, index=True),
    Column("uploaded", Boolean, nullable=False),
    Column("chain", Text, nullable=False),
    Column("not_before", UtcTime),
    Column("not_after", UtcTime),
    Column("problem", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try", UtcTime),
)

# No row: as TlsSettings begins.
tls_settings = Table(
    "tls_settings",
    metadata,
    Column("app_id", ForeignKey("apps.id"), primary_key=True),
    Column("redirect", Boolean, nullable=False),
    Column("hsts", Integer, nullable=False),
)
