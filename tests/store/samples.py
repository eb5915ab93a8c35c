"""One of each noun, for tests that need some to be there."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from hostd.model.app import Environment
from hostd.model.config import Scope
from hostd.model.image import Image, ProcessType, StaticSite, Tree
from hostd.model.release import Release
from hostd.store import apps, environments, releases, users
from hostd.store.config_vars import StoredVar

NOW = datetime(2026, 11, 25, 21, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
COMMIT = "8a5c1f00d" * 4 + "8a5c"
IMAGE = Image(
    digest="sha256:1f",
    trees=(
        Tree("2e", "/app", ("/data/delta", "/data/base")),
        Tree("3d", "/layers/python/venv", ("/data/venv",)),
    ),
    env={"PATH": "/layers/python/venv/bin:/usr/bin"},
    processes=(ProcessType("web", ("sh", "-c", "gunicorn app:app")),),
    static=StaticSite("public", single_page=True),
    buildpacks=("python 1.0",),
)


VAR = StoredVar(b"secret", secret=False, scopes=frozenset({Scope.RUN}))


def environment_of(connection: Connection, app: str, owner: str = "ada") -> Environment:
    """The production Environment of a new App of a new User."""
    user = users.create(connection, owner, False, NOW)
    created = apps.create(connection, app, user.id, NOW)
    return environments.create(connection, created, "production", "main", f"{app}.localhost", NOW)


def release_of(
    connection: Connection, environment_id: int, config: Mapping[str, str] | None = None
) -> Release:
    """The next Release of an Environment."""
    plain = config or {}
    return releases.create(
        connection, environment_id, IMAGE, locked(plain), COMMIT, "push", "ada", NOW, plain
    )


def locked(config: Mapping[str, str]) -> bytes:
    """Stands for encryption: bytes that are not the text."""
    return json.dumps(dict(config)).encode()[::-1]


def opened(encrypted: bytes) -> Mapping[str, str]:
    """The reverse of `locked`."""
    config: Mapping[str, str] = json.loads(encrypted[::-1])
    return config
