"""Domain: a host name that an App has proved to own. How it is written, what proves it, and the records to set.

Names are kept as the DNS has them: lower case, no final dot, `xn--` for what is not ASCII (UTS 46, as browsers do).
"""

import ipaddress
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import idna
from publicsuffixlist import PublicSuffixList

from hostd.errors import Invalid
from hostd.model.names import shown

DOMAINS_LIMIT = 100  # of one App
PROOF_PATH = "/.well-known/hostd-proof/"  # with a nonce behind it; the router answers with the Domain's token
LONGEST = 253  # RFC 1035 section 2.3.4, as text
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=6)
_NOT_PUBLIC = frozenset({"localhost", "local", "invalid", "onion"})  # RFC 6761, 6762 and 7686


@dataclass(frozen=True, slots=True)
class Record:
    """A DNS record that a person is to set."""

    name: str
    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Domain:
    """A claim of an App to `host`, which answers as one of its Environments once it is proved.

    `problem` is what the last look found wrong, also where it was proved before; then `next_try` says when hostd
    looks again by itself.
    """

    id: int
    app_id: int
    environment_id: int
    host: str
    token: str
    proved_at: datetime | None = None
    problem: str = ""
    tries: int = 0
    next_try: datetime | None = None

    @property
    def proved(self) -> bool:
        """Only then it is routed."""
        return self.proved_at is not None

    @property
    def wildcard(self) -> bool:
        """Whether it stands for all names one label below its zone."""
        return self.host.startswith("*.")

    @property
    def zone(self) -> str:
        """The host, for a wildcard the name that its `*` stands below."""
        return self.host.removeprefix("*.")

    @property
    def proof_name(self) -> str:
        """Where the TXT record with the token belongs."""
        return f"_hostd.{self.zone}"

    @property
    def readable(self) -> str:
        """The host as people write it."""
        return ".".join(_decoded(label) for label in self.host.split("."))

    def records(self, app_host: str, addresses: Sequence[str]) -> Sequence[Record]:
        """What to set in the DNS: the proof, and the way to this machine, where `app_host` and `addresses` are."""
        proof = Record(self.proof_name, "TXT", self.token)
        apex = not self.wildcard and _suffixes().privatesuffix(self.host) == self.host
        if "." in app_host.partition(".")[2] and not apex:  # at the top of a zone there can be no CNAME
            return [proof, Record(self.host, "CNAME", app_host)]
        return [
            proof,
            *(Record(self.host, "AAAA" if ":" in address else "A", address) for address in addresses),
        ]


def host_of(text: str, base: str, hostd_host: str) -> str:
    """The host that `text` names, if an App may claim it. Raises Invalid with the rule that it breaks.

    `base` is the domain the Apps live under, `hostd_host` where hostd itself answers.
    """
    if "://" in text or "/" in text or "@" in text:
        raise _refusal(text, "it is a URL: give the host name alone, as www.example.com")
    if ":" in text or _is_address(text):
        raise _refusal(text, "a host name has no port and is no IP address")
    star, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    host = _ascii(text, name)
    if _NUMBER.fullmatch(host.rpartition(".")[2]):  # as 127.0.0.0x1 is one (WHATWG URL, "ends in a number")
        raise _refusal(text, "a host name is no IP address")
    if host in (base, hostd_host) or host.endswith(f".{base}"):
        raise _refusal(text, f"{hostd_host} and the names under {base} are hostd's own")
    if host.rpartition(".")[2] in _NOT_PUBLIC or "." not in host or _suffixes().is_public(host):
        raise _refusal(text, "it is no domain that anybody can own, as example.com is")
    return star + host


def new_token() -> str:
    """A token that nobody guesses."""
    return f"hostd-{secrets.token_hex(16)}"


def wait_after(tries: int) -> timedelta:
    """How long until a Domain is looked at again: 1, 2, 4, ... minutes, 6 hours at most."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * (1 << min(tries, 20)))


def wildcard_over(host: str) -> str:
    """The wildcard that covers `host`, itself if it is one."""
    return host if host.startswith("*.") else f"*.{host.partition('.')[2]}"


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(only_icann=True)  # read when it is first needed: that takes 45 ms


def _ascii(text: str, name: str) -> str:
    try:
        mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
    except idna.IDNAError as error:
        raise _refusal(text, f"there are characters in it that no domain has: {error}") from error
    labels = mapped.removesuffix(".").split(".")
    host = ".".join(label if label.isascii() else f"xn--{_punycode(label)}" for label in labels)
    if len(host) > LONGEST:
        raise _refusal(text, f"a host name has at most {LONGEST} characters")
    for label in host.split("."):
        if not _LABEL.fullmatch(label):
            raise _refusal(text, "each part of it has 1 to 63 letters, digits and -, no - at either end")
    return host


def _punycode(label: str) -> str:
    return label.encode("punycode").decode()


def _decoded(label: str) -> str:
    try:
        decoded = label[4:].encode().decode("punycode") if label.startswith("xn--") else label
    except UnicodeError:
        return label
    return decoded if decoded.isprintable() else label


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _refusal(text: str, rule: str) -> Invalid:
    return Invalid(f"{shown(text)} cannot be a domain of an app: {rule}")
