"""A line from an Instance or about a request, as it is kept and shown by `hostd logs`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogLine:
    """`at` in seconds since the epoch; `source` is "app", "router" or "hostd"; `process` as `web` or `router`.

    `environment` is the Environment's label, `instance` the Instance's id or "".
    """

    at: float
    environment: str
    source: str
    process: str
    instance: str
    text: str


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as the router saw it. `seconds` from the first byte in to the last byte out; `code` as H12.

    `environment` is the label of the Environment it was for, "" for a host that is nobody's.
    """

    at: float
    host: str
    app: str
    environment: str
    release: str
    method: str
    path: str
    status: int
    sent: int
    seconds: float
    endpoint: str
    code: str
    request_id: str
