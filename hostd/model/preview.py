"""Preview: an Environment made for a branch. Its name, which is also its part of the host name, and what an App says
about all of its Previews."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from hostd.errors import Invalid
from hostd.model.app import PRODUCTION

NAME_LIMIT = 31  # with "--" and the longest name of an App it fills a DNS label of 63
PREVIEWS_LIMIT = 50  # of one App
DAYS_LIMIT = 365
PASSWORD_SHORTEST, PASSWORD_LONGEST = 8, 128
PASSWORD_RULE = f"{PASSWORD_SHORTEST} to {PASSWORD_LONGEST} printable ASCII characters"
_PLAIN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MARKED = re.compile(r"(.*-)?[0-9a-f]{8}")  # ends as a name that was made ends
_RELEASE = re.compile(r"v[0-9]+")  # v12--shop.BASE is the twelfth Release of shop
_PASSWORD = re.compile(rf"[\x20-\x7e]{{{PASSWORD_SHORTEST},{PASSWORD_LONGEST}}}")


@dataclass(frozen=True, slots=True)
class PreviewSettings:
    """What holds for all Previews of an App. `password` is as `router` checks it, "" for none: `SALT:SHA256`.

    A Preview lasts `days` (1 to DAYS_LIMIT) after the last push to its branch.
    """

    enabled: bool = True
    days: int = 7
    password: str = ""


def name_of(branch: str) -> str:
    """The name of the Preview of `branch`: always the same, of no other branch, and fit to be part of a host name.

    It is the branch's own name if that will do; else its readable part and 32 bits of a hash. Two characters will
    not do: with `--` behind them they would begin a label as `xn--` does (RFC 5891 section 4.2.3.1).
    """
    if _will_do(branch):
        return branch
    digest = hashlib.sha256(branch.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{_readable(branch)}-{digest}".lstrip("-")


def expired(last_push: datetime, settings: PreviewSettings, now: datetime) -> bool:
    """Whether a Preview's time is over."""
    return now - last_push > timedelta(days=settings.days)


def check_days(days: int) -> int:
    """`days`, if a Preview may last so long. Raises Invalid."""
    if not 1 <= days <= DAYS_LIMIT:
        raise Invalid(f"previews cannot last {days} days: 1 to {DAYS_LIMIT}")
    return days


def locked(password: str, salt: str) -> str:
    """`password` as it is stored and given to the router. Raises Invalid for one that is too short or too long."""
    if not _PASSWORD.fullmatch(password):
        raise Invalid(f"that is not a password for previews: {PASSWORD_RULE}")
    return f"{salt}:{hashlib.sha256((salt + password).encode()).hexdigest()}"


def _will_do(branch: str) -> bool:
    taken = branch == PRODUCTION or _RELEASE.fullmatch(branch) or _MARKED.fullmatch(branch)
    return bool(2 < len(branch) <= NAME_LIMIT and _PLAIN.fullmatch(branch) and not taken)


def _readable(branch: str) -> str:
    plain = unicodedata.normalize("NFKD", branch).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[: NAME_LIMIT - 9].strip("-")
