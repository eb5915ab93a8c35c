"""ConfigVar: a name and a value handed to an app, who gets to see it, and the rules for names and values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from hostd.errors import Invalid
from hostd.model.names import shown, whole

VALUE_LIMIT = 64 * 1024  # bytes
TOTAL_LIMIT = 512 * 1024  # bytes of all names and values of an Environment
GENERATED_SHORTEST, GENERATED_LONGEST = 16, 512  # characters
RULE = "A to Z, a to z, 0 to 9 and _, beginning with a letter or _, at most 255"
RESERVED = frozenset({"PORT", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BASH_ENV", "ENV", "IFS"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
# What ends up in browsers anyway, and what steers build tools without being a secret: builds see it unasked.
BROWSER_PREFIXES = ("VITE_", "NEXT_PUBLIC_", "PUBLIC_", "REACT_APP_", "VUE_APP_", "NUXT_PUBLIC_", "GATSBY_")
_STEERING_PREFIXES = ("BP_", "DISABLE_")
_STEERING = frozenset(
    "NODE_ENV NODE_VERSION NODE_OPTIONS NPM_CONFIG_REGISTRY UV_INDEX_URL UV_EXTRA_INDEX_URL UV_DEFAULT_INDEX UV_INDEX "
    "UV_PYTHON PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_NO_BINARY GOPROXY GOFLAGS BUNDLE_WITHOUT".split()
)


class Scope(StrEnum):
    """Who gets a ConfigVar: Instances, Builds, and, of production's, its Previews as well."""

    RUN = "run"
    BUILD = "build"
    PREVIEW = "preview"


@dataclass(frozen=True, slots=True)
class ConfigVar:
    """A value with its scopes. One that is `secret` is never shown again."""

    value: str
    secret: bool = False
    scopes: frozenset[Scope] = frozenset({Scope.RUN})


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """What is wanted of a ConfigVar. None: as it was, or as a new one begins."""

    value: str | None = None
    secret: bool | None = None
    scopes: frozenset[Scope] | None = None

    def applied(self, name: str, before: ConfigVar | None) -> ConfigVar:
        """The ConfigVar after the change. Raises Invalid without any value, and for a secret made plain as it is."""
        if self.value is None and before is None:
            raise Invalid(f"{name} is not set", hint=f"give it a value: hostd config set {name}=value")
        if self.value is None and before and before.secret and self.secret is False:
            raise Invalid(
                f"{name} is a secret and stays one while it has this value",
                hint=f"give it a new one: hostd config set --plain {name}=value",
            )
        secret = bool(before and before.secret) if self.secret is None else self.secret
        if self.scopes is not None:
            scopes = self.scopes
        else:
            scopes = before.scopes if before else scopes_of_new(name, secret=secret)
        value = before.value if self.value is None and before else self.value or ""
        return ConfigVar(value, secret, scopes)


Config = Mapping[str, ConfigVar]
ConfigChanges = Mapping[str, ConfigChange | None]  # None: unset


def scopes_of_new(name: str, *, secret: bool = False) -> frozenset[Scope]:
    """What a ConfigVar begins with: builds see those that steer them or end up in browsers, if it is no secret."""
    seen = name.startswith((*BROWSER_PREFIXES, *_STEERING_PREFIXES)) or name in _STEERING
    return frozenset({Scope.RUN, Scope.BUILD} if seen and not secret else {Scope.RUN})


def changed(config: Config, changes: ConfigChanges) -> dict[str, ConfigVar]:
    """`config` after `changes`. Raises Invalid as `ConfigChange.applied` does."""
    after = dict(config)
    for name, change in changes.items():
        if change is None:
            after.pop(name, None)
        else:
            after[name] = change.applied(name, config.get(name))
    return after


def in_scope(config: Config, scope: Scope) -> dict[str, str]:
    """Names and values of those that `scope` gets."""
    return {name: var.value for name, var in config.items() if scope in var.scopes}


def for_previews(config: Config) -> dict[str, ConfigVar]:
    """What Previews get of production's."""
    return {
        name: replace(var, scopes=var.scopes - {Scope.PREVIEW})
        for name, var in config.items()
        if Scope.PREVIEW in var.scopes
    }


def check_name(name: str) -> None:
    """Raises Invalid for what no ConfigVar may be called."""
    if not _NAME.fullmatch(name):
        raise Invalid(f"{shown(name)} is not a name for a config variable: {RULE}")
    if name in RESERVED or name.startswith("HOSTD_"):
        raise Invalid(f"{name} is reserved: hostd or the system sets it")


def check_value(name: str, value: str) -> None:
    """Raises Invalid naming the variable and the rule; never the value, it may be a secret."""
    if "\0" in value:
        raise Invalid(f"the value of {name} holds a NUL byte", hint="encode it, for example as base64")
    if not whole(value):
        raise Invalid(f"the value of {name} is not UTF-8", hint="encode it, for example as base64")
    if len(value.encode()) > VALUE_LIMIT:
        raise Invalid(f"the value of {name} is too long (at most {VALUE_LIMIT // 1024} KiB)")


def check_changes(changes: ConfigChanges) -> None:
    """Raises Invalid for names, values and scopes that break the rules, and for no change at all."""
    if not changes:
        raise Invalid("no config variable was named", hint="hostd config set NAME=value")
    for name, change in changes.items():
        check_name(name)
        if change is None:
            continue
        if change.value is not None:
            check_value(name, change.value)
        if change.scopes is not None and not change.scopes & {Scope.RUN, Scope.BUILD}:
            raise Invalid(f"{name} needs a scope: run, build or both")


def check_total(config: Config) -> None:
    """Raises Invalid for more than TOTAL_LIMIT."""
    if sum(len(name) + len(var.value.encode()) for name, var in config.items()) > TOTAL_LIMIT:
        raise Invalid(f"the config is too large in all (at most {TOTAL_LIMIT // 1024} KiB)")


def differing(before: Config, after: Config) -> tuple[Sequence[str], Sequence[str]]:
    """The names that `after` has anew or otherwise, and those that it has no more."""
    return (
        sorted(name for name, var in after.items() if before.get(name) != var),
        sorted(before.keys() - after.keys()),
    )


def described(before: Config, after: Config) -> str:
    """What changed, by name only: `set A, B; unset C`."""
    parts = [
        f"{verb} {', '.join(names)}"
        for verb, names in zip(("set", "unset"), differing(before, after), strict=True)
        if names
    ]
    return "; ".join(parts) or "config unchanged"


def scopes_text(scopes: Iterable[Scope]) -> str:
    """`run,build`: in the order of Scope."""
    return ",".join(scope for scope in Scope if scope in frozenset(scopes))


def scopes_in(text: str) -> frozenset[Scope]:
    """What `scopes_text` made a text of. Raises ValueError."""
    return frozenset(Scope(word) for word in text.split(","))
