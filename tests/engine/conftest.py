"""Fixtures: a Place for engines, and a LocalEngine that is open."""

from collections.abc import AsyncIterator, Iterator

import pytest

from hostd.engine.local import LocalEngine
from tests.engine.places import Place, place


@pytest.fixture
def here() -> Iterator[Place]:
    """A data directory of this test alone."""
    with place() as made:
        yield made


@pytest.fixture
async def local(here: Place) -> AsyncIterator[LocalEngine]:
    """A LocalEngine that is open; all it made is removed at the end."""
    engine = here.engine()
    await engine.open()
    yield engine
    await engine.remove()
