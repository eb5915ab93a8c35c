"""The router's directory, as its own tests have it."""

from tests.router.conftest import place

__all__ = ["place"]
