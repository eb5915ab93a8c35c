"""Dependencies are installed anew when the variables that builds see are others."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hostd.build.workshop import BUILD_KEY
from tests.buildpacks import yard
from tests.buildpacks.yard import Yard

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: sandboxes and mounts"),
]


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Yard]:
    async with yard.opened() as opened:
        yield opened


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["python", "node"])
async def test_another_build_key_installs_anew_and_the_same_does_not(place: Yard, name: str) -> None:
    app = place.copy(yard.samples()[name])
    image, _ = await place.build(app, env={BUILD_KEY: "one"})
    again, lines = await place.build(app, image, env={BUILD_KEY: "one", "VITE_TITLE": "another"})
    assert not [line for line in lines if "Installing dependencies" in line]
    _, lines = await place.build(app, again, env={BUILD_KEY: "two"})
    assert [line for line in lines if "Installing dependencies" in line]
