"""Taking turns at an Environment: what changes it does so alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hostd.control.platform import Platform
from hostd.model.app import Environment
from hostd.store import environments


@asynccontextmanager
async def turn(platform: Platform, environment: Environment) -> AsyncIterator[Environment]:
    """Alone with `environment`, given as it is by then. Raises NotFound if it was destroyed before its turn came."""
    async with platform.lock(environment):
        yield await platform.db.read(environments.by_id, environment.id)
