"""git's credential helper (gitcredentials(7)): gives the Token to git, for the server one is logged in to only.

It runs in every push, so it imports next to nothing.
"""

from collections.abc import Sequence
from typing import TextIO

from hostd.cli import login
from hostd.errors import HostdError
from hostd.settings import process_environment

USER = "hostd"  # the server looks at the password only


def answer(words: Sequence[str], stdin: TextIO, stdout: TextIO) -> int:
    """Answer one request of git's; the exit status. What is not asked of us gets no answer, so that git goes on."""
    asked = dict(line.rstrip("\n").partition("=")[::2] for line in stdin)
    if list(words) != ["get"]:
        return 0  # "store" and "erase": login.json is changed by login and logout alone
    try:
        known = login.read(process_environment())
    except HostdError:
        return 0
    if f"{asked.get('protocol')}://{asked.get('host')}" == known.url:
        stdout.write(f"username={USER}\npassword={known.token}\n")
    return 0
