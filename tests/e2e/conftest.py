"""One hostd for all end-to-end tests of a worker; tests take an App each."""

import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.server import Project, Server, serving

_names = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/e2e" in str(item.path):
            item.add_marker(pytest.mark.e2e)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root: sandboxes, mounts, network namespaces"))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with serving(HOSTD_PRIVATE_FORGES="on") as running:
        yield running
        assert "Traceback" not in running.log(), running.log()[-5000:]


@pytest.fixture
def project(server: Server) -> Project:
    return server.create(f"shop-{os.getpid()}-{next(_names)}")


@pytest.fixture(scope="session")
def untouched(server: Server) -> Project:
    """An App for pushes that must leave nothing: nothing was ever accepted for it."""
    return server.create(f"untouched-{os.getpid()}")


@pytest.fixture
def another(server: Server) -> Callable[[], Project]:
    """Makes further Apps."""
    return lambda: server.create(f"more-{os.getpid()}-{next(_names)}")
