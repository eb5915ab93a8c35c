"""What an App or a ProcessType may be called. Names become host names and directory names, so the rule is strict."""

import re

from hostd.errors import Invalid

_APP = re.compile(r"[a-z][a-z0-9-]{1,28}[a-z0-9]")
_PROCESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
RESERVED = frozenset(
    "admin api app apps assets auth console dashboard docs git health hostd localhost login mail ns router "
    "ssh static status support www".split()
)
RULE = "3 to 30 of a-z, 0-9 and -, beginning with a letter, ending with a letter or digit, no --"


def check_app_name(name: str) -> str:
    """`name`, if an App may have it. Raises Invalid with the rule and a name that would do."""
    if not _APP.fullmatch(name) or "--" in name:
        raise Invalid(f"{shown(name)} is not a name for an app: {RULE}", hint=_suggestion(name))
    if name in RESERVED:
        raise Invalid(f"the name {name} is reserved", hint=f"try: {name}-site")
    return name


def check_process_type(name: str) -> str:
    """`name`, if a ProcessType may have it (Dokku's rule). Raises Invalid."""
    if not _PROCESS.fullmatch(name):
        raise Invalid(f"{shown(name)} is not a process type: letters, digits, - and _, at most 63")
    return name


def whole(text: str) -> bool:
    """Whether all of `text` is characters. JSON can name half of one (a lone surrogate), which no file, header,
    terminal or database can hold."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def shown(value: str) -> str:
    """A hostile string made fit for a message: quoted, escaped, cut at 80 characters."""
    return ascii(value if len(value) <= 80 else value[:79] + "~")


def _suggestion(name: str) -> str:
    candidate = re.sub(r"-{2,}", "-", re.sub(r"[^a-z0-9]+", "-", name.lower())).strip("-")
    candidate = re.sub(r"^[^a-z]+", "", candidate)[:30].rstrip("-")
    return f"try: {candidate}" if len(candidate) >= 3 and candidate not in RESERVED else "try: my-app"
