"""Failures we can explain. Anything else that escapes is a bug in hostd.

    HostdError
      Invalid        the request breaks a rule it could have kept        422, exit 2
      Unauthorized   no or a wrong token                                 401, exit 4
      Forbidden      the right to do this is missing                     403, exit 4
      NotFound       no such thing, or not yours                         404, exit 3
      Conflict       true, but not now: it stands in the way of another  409, exit 4
      BuildFailed    the push's own build failed                         422, exit 5
      RolloutFailed  the Release did not start or did not get healthy    422, exit 5
      CanaryFailed   the Release did worse than the one before           422, exit 5
      LimitExceeded  a limit of hostd's was hit; says which              422, exit 5
      RateLimited    too often in too short a time; says how long to wait 429, exit 6
      Unavailable    this machine lacks or ran out of something          503, exit 6

`message` says what happened in the pusher's words, lower case, no full stop. `hint` is a thing to do, if
possible a command to paste. Only the edges (git, http, cli) print them.
"""

from typing import ClassVar


class HostdError(Exception):
    """A failure we can explain.

    `code` is for machines, `http_status` for the API, `exit_code` for the CLI (design.md section 7).
    """

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Invalid(HostdError):
    """The request breaks a rule that it could have kept."""

    code = "invalid"
    http_status = 422
    exit_code = 2


class Unauthorized(HostdError):
    """No token, or one that is wrong, expired or revoked."""

    code = "unauthorized"
    http_status = 401
    exit_code = 4


class Forbidden(HostdError):
    """The actor is known but lacks the right."""

    code = "forbidden"
    http_status = 403
    exit_code = 4


class NotFound(HostdError):
    """No such thing, or it is not the actor's: both read the same."""

    code = "not_found"
    http_status = 404
    exit_code = 3


class Conflict(HostdError):
    """Something that is there already stands in the way."""

    code = "conflict"
    http_status = 409
    exit_code = 4


class BuildFailed(HostdError):
    """The Source could not be turned into an Image, and the Source is the cause."""

    code = "build_failed"
    http_status = 422
    exit_code = 5


class RolloutFailed(HostdError):
    """The Release did not start or did not get healthy; the one before goes on serving."""

    code = "rollout_failed"
    http_status = 422
    exit_code = 5


class CanaryFailed(HostdError):
    """The Release was tried with a part of the requests and is not good enough; the one before goes on serving."""

    code = "canary_failed"
    http_status = 422
    exit_code = 5


class LimitExceeded(HostdError):
    """One of hostd's limits was hit. The message names the limit and its value."""

    code = "limit_exceeded"
    http_status = 422
    exit_code = 5


class RateLimited(HostdError):
    """Too often in too short a time. The hint says how long to wait."""

    code = "rate_limited"
    http_status = 429
    exit_code = 6


class Unavailable(HostdError):
    """This machine lacks something, or ran out of it: no fault of the push."""

    code = "unavailable"
    http_status = 503
    exit_code = 6
