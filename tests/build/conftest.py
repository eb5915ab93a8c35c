"""Fixtures for tests of builds."""

from collections.abc import Iterator

import pytest

from tests.build import yard as yards
from tests.build.yard import Yard


@pytest.fixture
def yard() -> Iterator[Yard]:
    """A place to build in."""
    with yards.opened() as opened:
        yield opened
