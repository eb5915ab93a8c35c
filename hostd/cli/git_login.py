"""Has git log in by itself: with git's own credential-store, on a file of ours (gitcredentials(7)).

A helper written in Python would cost every push 50 to 100 ms; git's own costs 2 to 5.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from hostd.cli import login
from hostd.cli.repository import git
from hostd.errors import Invalid
from hostd.model.names import shown

USER = "hostd"  # the server looks at the password only


def remember(env: Mapping[str, str], known: login.Login) -> None:
    """Give git the Token for this server and no other. Raises Invalid if git does not take it.

    The empty helper goes first: without it git would hand the Token on to the person's other helpers, to store it.
    """
    parts, file = urlsplit(known.url), _file(env)
    file.unlink(missing_ok=True)
    secret = f"protocol={parts.scheme}\nhost={parts.netloc}\nusername={USER}\npassword={known.token}\n\n"
    _git("credential-store", "--file", str(file), "store", given=secret)
    key = f"credential.{known.url}.helper"
    _git("config", "--global", "--replace-all", key, "")
    _git("config", "--global", "--add", key, f"store --file {shlex.quote(str(file))}")


def forget(env: Mapping[str, str], url: str) -> None:
    """Undo `remember`."""
    git("config", "--global", "--remove-section", f"credential.{url}")
    _file(env).unlink(missing_ok=True)


def _file(env: Mapping[str, str]) -> Path:
    return login.path(env).with_name("git-credentials")


def _git(*words: str, given: str = "") -> None:
    result = git(*words, given=given)
    if result.status != 0:
        raise Invalid(f"git {words[0]} failed: {shown(result.output.strip())}")
