"""Route: host -> where it goes. The router's table is made of these and of nothing else."""

from dataclasses import dataclass

from hostd.model.instance import Endpoint


@dataclass(frozen=True, slots=True)
class ToInstances:
    """Least connections among `endpoints`. Times in seconds: to the first byte (H12), between bytes (H15).

    `asleep`: each request first asks hostd for a wake, and is held until it is up.
    """

    endpoints: tuple[Endpoint, ...]
    first_byte: float = 30.0
    idle: float = 55.0
    asleep: bool = False


@dataclass(frozen=True, slots=True)
class ToDirectory:
    """Files straight from `path`, an absolute directory on this machine. `single_page` as in StaticSite."""

    path: str
    single_page: bool = False


@dataclass(frozen=True, slots=True)
class ToError:
    """A clear page with a code: H10 crashed, H14 no web process, H81 nothing pushed yet, H80 maintenance."""

    code: str


@dataclass(frozen=True, slots=True)
class ToHost:
    """Wherever `host` goes at that moment: a Domain is another name of its Environment's host."""

    host: str


@dataclass(frozen=True, slots=True)
class Share:
    """A Release that is tried out: `percent` (1 to 99) of the clients go to `target` instead, which is logged as of
    `release`. What it refuses goes where the others go."""

    release: str
    target: ToInstances
    percent: int


Target = ToInstances | ToDirectory | ToError | ToHost


@dataclass(frozen=True, slots=True)
class Route:
    """A host name, lower case, without a port, and its Target. `*.ZONE` stands for the names below ZONE that have no
    Route of their own. `app`, `release` and `environment` (its label) go to the log.

    `noindex` keeps search engines away. `password`, if not "", is what visitors have to know: `SALT:SHA256`, where
    SHA256 is of salt and password, in hex. `share` holds only while `target` is ToInstances.

    `https`: once there is a certificate for the host, plain HTTP is sent on to
    HTTPS; `hsts`, in seconds, is what browsers are then told (RFC 6797), 0 for nothing. Of a Route ToHost its own
    `https` and `hsts` count, and all else is as where it leads to.
    """

    host: str
    target: Target
    app: str
    release: str = ""
    environment: str = ""
    noindex: bool = False
    password: str = ""
    share: Share | None = None
    https: bool = False
    hsts: int = 0
