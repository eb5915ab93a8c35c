"""A real database in a temporary directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hostd.store.database import Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hostd.sqlite"


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    database = Database.open(path)
    yield database
    database.close()
