"""Fixtures: a Place for engines, and a LocalEngine that is open."""

import os
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without root, what needs it is left out."""
    for item in items:
        if os.geteuid() != 0 and item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root: namespaces, mounts and cgroups"))
