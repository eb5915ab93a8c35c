"""What the operator of hostd may set: environment variables, read once, checked here, handed down as values.

Nothing else in hostd looks at the process environment. VARIABLES is the reference; the README shows it as a table.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hostd.errors import Invalid
from hostd.model.names import shown

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
ENGINES = ("local",)
_WEEK = 7 * 24 * 3600  # seconds
VARIABLES: Mapping[str, tuple[str, str]] = {
    "HOSTD_DATA": (
        "/var/lib/hostd for root, else ~/.local/share/hostd",
        "absolute path of the directory that holds everything hostd keeps",
    ),
    "HOSTD_BASE": ("localhost", "domain the apps live under: an app answers at NAME.BASE"),
    "HOSTD_HTTP_PORT": ("8080", "port of the router for HTTP, 1 to 65535"),
    "HOSTD_HTTPS_PORT": ("not set: no TLS", "port of the router for HTTPS, 1 to 65535"),
    "HOSTD_LISTEN": ("127.0.0.1:8081", "address:port of the API and of git over HTTP"),
    "HOSTD_PUBLIC_URL": ("http://localhost:8081", "URL at which people and git reach HOSTD_LISTEN"),
    "HOSTD_SSH_LISTEN": ("0.0.0.0:2222", "address:port of git over SSH, or off"),
    "HOSTD_ACME_DIRECTORY": (
        "not set: no certificates are fetched",
        "https URL of an ACME directory, as https://acme-v02.api.letsencrypt.org/directory; needs HOSTD_HTTPS_PORT",
    ),
    "HOSTD_ACME_AGREE": ("not set", "yes: you agree to the terms of that authority; needed to use it"),
    "HOSTD_ACME_EMAIL": ("not set", "where that authority may write to you"),
    "HOSTD_ACME_CA": (
        "those of this machine",
        "absolute path of the roots (PEM) that vouch for that authority",
    ),
    "HOSTD_ACME_DNS_HOOK": (
        "not set: no wildcards",
        "absolute path of a program that is run as PROGRAM present NAME VALUE, later cleanup, to set a TXT record",
    ),
    "HOSTD_DNS_RESOLVER": (
        "as /etc/resolv.conf says",
        "address:port of the DNS server that domains are looked up at",
    ),
    "HOSTD_ENGINE": ("local", "what runs the instances: local"),
    "HOSTD_DATABASE": ("hostd.db in HOSTD_DATA", "absolute path of the SQLite database"),
    "HOSTD_BUILDS_AT_ONCE": ("2", "builds that run at the same time, 1 to 64; more wait in a queue"),
    "HOSTD_PRIVATE_FORGES": (
        "off",
        "on: repositories of `hostd forges` may be at private addresses and over plain http",
    ),
    "HOSTD_INSTANCE_MEMORY_MB": ("512", "memory of one instance in MB, 32 to 65536"),
    "HOSTD_RUNS_AT_ONCE": ("5", "commands of `hostd run` that an app may have at once, 1 to 100"),
    "HOSTD_RUN_SECONDS": ("86400", "seconds after which a command of `hostd run` is ended, 60 to 604800"),
    "HOSTD_CRON_AT_ONCE": (
        "8",
        "cron jobs that run at once on this machine, 1 to 100; at most 4 of them of one app",
    ),
    "HOSTD_RECLAIM_AFTER": ("60", "seconds asleep until an app's memory goes to swap, 1 to 604800"),
    "HOSTD_STOP_AFTER": ("3600", "seconds asleep until an app is stopped, 1 to 604800"),
    "HOSTD_ZRAM_MB": ("0: none", "compressed swap that hostd makes in memory for sleeping apps, 0 to 65536"),
}


@dataclass(frozen=True, slots=True)
class Acme:
    """Where certificates are fetched. `ca` None: this machine's roots vouch for it, `dns_hook` None: no wildcards."""

    directory: str
    email: str
    ca: Path | None
    dns_hook: Path | None


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one hostd. Ports are 1 to 65535; `https_port` None: no TLS, `ssh_port` None: no git over SSH."""

    data: Path
    base: str
    http_port: int
    https_port: int | None
    listen_address: str
    listen_port: int
    public_url: str
    ssh_address: str
    ssh_port: int | None
    acme: Acme | None
    dns_resolver: tuple[str, int] | None
    engine: str
    database: Path
    builds_at_once: int
    private_forges: bool
    instance_memory_mb: int
    runs_at_once: int
    run_seconds: int
    cron_at_once: int
    reclaim_after: int
    stop_after: int
    zram_mb: int

    @staticmethod
    def read(env: Mapping[str, str]) -> "Settings":
        """The settings in `env`; a variable that is absent or empty has its default.

        Raises Invalid naming the variable, its value and the rule, also for a HOSTD_ variable there is none of.
        """
        _refuse_unknown(env)
        data = _path(env, "HOSTD_DATA") or _default_data(env)
        address, port = _listen(env, "HOSTD_LISTEN", "127.0.0.1:8081")
        ssh_address, ssh_port = _ssh_listen(env)
        return Settings(
            data=data,
            base=_base(env),
            http_port=_number(env, "HOSTD_HTTP_PORT", 1, 65535) or 8080,
            https_port=_number(env, "HOSTD_HTTPS_PORT", 1, 65535),
            listen_address=address,
            listen_port=port,
            public_url=_url(env),
            ssh_address=ssh_address,
            ssh_port=ssh_port,
            acme=_acme(env),
            dns_resolver=_resolver(env),
            engine=_engine(env),
            database=_path(env, "HOSTD_DATABASE") or data / "hostd.db",
            builds_at_once=_number(env, "HOSTD_BUILDS_AT_ONCE", 1, 64) or 2,
            private_forges=_switch(env, "HOSTD_PRIVATE_FORGES"),
            instance_memory_mb=_number(env, "HOSTD_INSTANCE_MEMORY_MB", 32, 65536) or 512,
            runs_at_once=_number(env, "HOSTD_RUNS_AT_ONCE", 1, 100) or 5,
            run_seconds=_number(env, "HOSTD_RUN_SECONDS", 60, _WEEK) or 24 * 3600,
            cron_at_once=_number(env, "HOSTD_CRON_AT_ONCE", 1, 100) or 8,
            reclaim_after=_number(env, "HOSTD_RECLAIM_AFTER", 1, _WEEK) or 60,
            stop_after=_number(env, "HOSTD_STOP_AFTER", 1, _WEEK) or 3600,
            zram_mb=_number(env, "HOSTD_ZRAM_MB", 0, 65536) or 0,
        )


def process_environment() -> Mapping[str, str]:
    """The environment hostd itself was started with; for `Settings.read` and for the CLI's own files."""
    return dict(os.environ)


def reference() -> str:
    """VARIABLES as the Markdown table that the README shows."""
    rows = [f"| `{name}` | {default} | {meaning} |" for name, (default, meaning) in VARIABLES.items()]
    return "\n".join(["| Variable | Default | Meaning |", "|---|---|---|", *rows])


def _refuse_unknown(env: Mapping[str, str]) -> None:
    for name in env:
        if name.startswith("HOSTD_") and name not in VARIABLES:
            raise Invalid(f"there is no setting {shown(name)}", hint="settings are: " + ", ".join(VARIABLES))


def _refusal(name: str, value: str, rule: str) -> Invalid:
    return Invalid(
        f"{name} is {shown(value)}, but must be {rule}", hint=f"set or unset {name} and start again"
    )


def _default_data(env: Mapping[str, str]) -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/hostd")
    return Path(env.get("HOME") or "/") / ".local/share/hostd"


def _path(env: Mapping[str, str], name: str) -> Path | None:
    value = env.get(name, "")
    if value and (not value.startswith("/") or re.search(r"[:,\\\x00-\x1f]", value)):
        raise _refusal(
            name, value, "an absolute path without : , or \\"
        )  # overlayfs splits its options there
    return Path(value) if value else None


def _number(env: Mapping[str, str], name: str, lowest: int, highest: int) -> int | None:
    value = env.get(name, "")
    if not value:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", value) or not lowest <= int(value) <= highest:
        raise _refusal(name, value, f"a whole number from {lowest} to {highest}")
    return int(value)


def _switch(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name) or "off"
    if value not in ("on", "off"):
        raise _refusal(name, value, "on or off")
    return value == "on"


def _base(env: Mapping[str, str]) -> str:
    value = env.get("HOSTD_BASE") or "localhost"
    if not _HOST.fullmatch(value):
        raise _refusal("HOSTD_BASE", value, "a domain in lower case, as apps.example.org")
    return value


def _listen(env: Mapping[str, str], name: str, default: str, rule: str = "") -> tuple[str, int]:
    value = env.get(name) or default
    parts = re.fullmatch(r"([0-9.]{7,15}|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})", value)
    if not parts or not 1 <= int(parts[2]) <= 65535:
        raise _refusal(name, value, rule or "address:port, as 127.0.0.1:8081 or [::1]:8081")
    return parts[1].strip("[]"), int(parts[2])


def _ssh_listen(env: Mapping[str, str]) -> tuple[str, int | None]:
    if env.get("HOSTD_SSH_LISTEN") == "off":
        return "", None
    rule = "off, or address:port, as 0.0.0.0:2222 or [::]:2222"
    return _listen(env, "HOSTD_SSH_LISTEN", "0.0.0.0:2222", rule)


def _acme(env: Mapping[str, str]) -> Acme | None:
    directory, email = env.get("HOSTD_ACME_DIRECTORY", ""), env.get("HOSTD_ACME_EMAIL", "")
    if not directory:
        return None
    if not re.fullmatch(r"https://[\x21-\x7e]+", directory):
        raise _refusal("HOSTD_ACME_DIRECTORY", directory, "an https:// URL")
    if env.get("HOSTD_ACME_AGREE") != "yes":
        rule = "yes, if you agree to the terms of the authority that HOSTD_ACME_DIRECTORY names"
        raise _refusal("HOSTD_ACME_AGREE", env.get("HOSTD_ACME_AGREE", ""), rule)
    if not env.get("HOSTD_HTTPS_PORT"):
        raise _refusal("HOSTD_HTTPS_PORT", "", "set where HOSTD_ACME_DIRECTORY is")
    if email and not re.fullmatch(r"[\x21-\x7e]+@[\x21-\x7e]+", email):
        raise _refusal("HOSTD_ACME_EMAIL", email, "an address, as you@example.org")
    return Acme(directory, email, _path(env, "HOSTD_ACME_CA"), _path(env, "HOSTD_ACME_DNS_HOOK"))


def _resolver(env: Mapping[str, str]) -> tuple[str, int] | None:
    if not env.get("HOSTD_DNS_RESOLVER"):
        return None
    return _listen(env, "HOSTD_DNS_RESOLVER", "", "address:port, as 9.9.9.9:53")


def _url(env: Mapping[str, str]) -> str:
    value = env.get("HOSTD_PUBLIC_URL") or "http://localhost:8081"
    rule = "http:// or https://, a host and perhaps a port, no path"
    try:
        parts = urlsplit(value)
        plain = parts.scheme in ("http", "https") and parts.port != 0 and parts.path in ("", "/")
    except ValueError as error:
        raise _refusal("HOSTD_PUBLIC_URL", value, rule) from error
    if not plain or not re.fullmatch(r"[a-zA-Z0-9.:\[\]-]+", parts.netloc) or parts.query or parts.fragment:
        raise _refusal("HOSTD_PUBLIC_URL", value, rule)
    return value.rstrip("/")


def _engine(env: Mapping[str, str]) -> str:
    value = env.get("HOSTD_ENGINE") or "local"
    if value not in ENGINES:
        raise _refusal("HOSTD_ENGINE", value, "one of: " + ", ".join(ENGINES))
    return value
