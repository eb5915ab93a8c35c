"""App, Environment, User: who owns what and where it runs."""

from dataclasses import dataclass
from datetime import datetime

PRODUCTION = "production"
FIRST_OWNER = 200_000


def owner_of(app_id: int) -> int:
    """The uid (and gid) on this machine that everything of one App belongs to and runs as."""
    return FIRST_OWNER + app_id


def label_of(app: str, environment: str) -> str:
    """The label of an App's Environment; a Preview's is part of its host name. No two are alike: names of Apps and
    Previews have no `--`."""
    return f"{app}-{environment}" if environment == PRODUCTION else f"{environment}--{app}"


@dataclass(frozen=True, slots=True)
class User:
    """Who may act. `administrator` may do everything on this installation."""

    id: int
    name: str
    administrator: bool


@dataclass(frozen=True, slots=True)
class App:
    """What a user creates and names. `id` is never used again, also after the App is destroyed."""

    id: int
    name: str
    owner_id: int
    created_at: datetime
    production_branch: str = "main"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What holds at all hosts of an App that have a certificate.

    `redirect`: plain HTTP is sent on to HTTPS. `hsts`: browsers are to insist on HTTPS for so many seconds; 0: not.
    """

    redirect: bool = True
    hsts: int = 0


@dataclass(frozen=True, slots=True)
class Environment:
    """A place an App runs. `host` is the name it answers to, without a port.

    `password`, if not "", is what its visitors have to know, as a Route has it. `fork` is true for the Preview of a
    fork's pull request: what all Previews know is kept from it.
    """

    id: int
    app_id: int
    app: str
    name: str
    branch: str
    host: str
    password: str = ""
    fork: bool = False
    tls: TlsSettings = TlsSettings()

    @property
    def preview(self) -> bool:
        """True for an Environment that was made for a branch and goes with it."""
        return self.name != PRODUCTION

    @property
    def label(self) -> str:
        """`shop-production`, `topic--shop`: unique on this installation, fit for names of things in the engine."""
        return label_of(self.app, self.name)
