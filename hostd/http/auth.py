"""Who is asking: `Authorization: Bearer hst_...`, or basic with any user name and the token as password (git)."""

import base64
import binascii
import contextlib
import time
from collections import deque
from collections.abc import Callable

from hostd.control.platform import Platform
from hostd.errors import RateLimited, Unauthorized, Unavailable
from hostd.model.app import User
from hostd.store import tokens

FAILURES_LIMIT = 20  # wrong tokens from one address within WINDOW; then it is told to wait
WINDOW = 60.0  # seconds
ADDRESSES_LIMIT = 10_000  # remembered at most


class Door:
    """Tells Users by their tokens, and counts the wrong ones by address.

    A right token is never held up: one of 160 random bits cannot be guessed, and people share addresses.
    """

    def __init__(self, platform: Platform, clock: Callable[[], float] = time.monotonic) -> None:
        self._platform = platform
        self._clock = clock
        self._failures: dict[str, deque[float]] = {}
        self._uses: dict[str, float] = {}

    async def user(self, authorization: str | None, address: str) -> User:
        """Raises Unauthorized without a right token, RateLimited after too many wrong ones."""
        if not authorization:
            raise Unauthorized("no token was given", hint="run: hostd login")
        token = token_in(authorization)
        user = await self._platform.db.read(tokens.user_of, token, self._platform.now()) if token else None
        if token is None or user is None:
            self._count(address)
            raise Unauthorized("the token is wrong, expired or revoked", hint="run: hostd login")
        await self._note_use(token)
        return user

    async def _note_use(self, token: str) -> None:
        """At most one write a minute for a token; a database that cannot be written does not keep people out."""
        if self._clock() - self._uses.get(token, -WINDOW) < WINDOW:
            return
        self._uses[token] = self._clock()
        with contextlib.suppress(Unavailable):
            await self._platform.db.call(tokens.used, token, self._platform.now())

    def _count(self, address: str) -> None:
        now = self._clock()
        if len(self._failures) >= ADDRESSES_LIMIT:
            self._failures = {key: times for key, times in self._failures.items() if now - times[-1] < WINDOW}
        if len(self._failures) >= ADDRESSES_LIMIT:
            self._failures.clear()  # an attack from everywhere: counting addresses does not help against it
        times = self._failures.setdefault(address, deque(maxlen=FAILURES_LIMIT + 1))
        times.append(now)
        if len(times) > FAILURES_LIMIT and now - times[0] < WINDOW:
            raise RateLimited(
                f"more than {FAILURES_LIMIT} wrong tokens from this address",
                hint="wait a minute, then try again",
            )


def token_in(authorization: str) -> str | None:
    """The token in an Authorization header, if it is of one of the two kinds (RFC 6750, RFC 7617)."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return _plausible(value.strip())
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    name, _, password = decoded.partition(":")
    return _plausible(password) or _plausible(name)  # some clients put a token where the user name goes


def _plausible(text: str) -> str | None:
    right = text.startswith("hst_") and len(text) < 100 and text.isascii() and text.isprintable()
    return text if right else None
