"""The git repository one stands in: which App its remote `hostd` names, and setting that remote."""

import asyncio
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from hostd.cli import login
from hostd.command import PATH, Command, Result, run
from hostd.errors import Conflict, Invalid
from hostd.model.names import check_app_name, shown
from hostd.settings import process_environment

REMOTE = "hostd"
AppOption = Annotated[
    str | None,
    typer.Option("-a", "--app", help="The app; else the one of the git remote hostd.", metavar="NAME"),
]

PreviewOption = Annotated[
    str | None,
    typer.Option(
        "-e", "--preview", help="Of the preview of this branch; else of production.", metavar="BRANCH"
    ),
]


def remember(context: typer.Context, app: str | None, preview: str | None = None) -> None:
    """Keep for the subcommand what was chosen before it."""
    context.obj = app
    context.meta["preview"] = preview


def chosen_preview(named: str | None, context: typer.Context) -> str | None:
    """The Preview an option names, here or before the subcommand; None for production."""
    preview: str | None = named or context.meta.get("preview")
    return preview


def chosen_app(named: str | None, context: typer.Context | None = None) -> str:
    """The App an option names, here or before the subcommand, else that of the remote.

    Raises Invalid if there is neither, for what is no name, or a remote not of the server one is logged in to.
    """
    return check_app_name(named or (context.obj if context else None) or _app_of_remote())


def in_repository() -> bool:
    """Whether the working directory lies in a git repository."""
    return git("rev-parse", "--git-dir").status == 0


def add_remote(url: str) -> str:
    """Add the remote; says what was done. Raises Conflict if there is one with another URL."""
    there = git("config", "--get", f"remote.{REMOTE}.url")
    if there.status == 0 and there.output.strip() != url:
        raise Conflict(
            f"the remote {REMOTE} is {there.output.strip()} already",
            hint=f"to change it: git remote set-url {REMOTE} {url}",
        )
    if there.status != 0:
        result = git("remote", "add", "--", REMOTE, url)
        if result.status != 0:
            raise Invalid(f"git did not add the remote: {result.output.strip()}")
    return f"the remote {REMOTE} is {url}"


def git(*words: str, given: str = "") -> Result:
    """Run git here, with the person's own configuration; `given` is its standard input."""
    passed = ("PATH", "HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL")
    env = {name: value for name, value in process_environment().items() if name in passed}
    command = Command(("git", *words), {"PATH": PATH, "LC_ALL": "C"} | env, Path.cwd(), given.encode())
    return asyncio.run(run(command))


def _app_of_remote() -> str:
    found = git("config", "--get", f"remote.{REMOTE}.url")
    url = found.output.strip()
    if found.status != 0 or not url:
        raise Invalid(
            "which app? there is no git remote called hostd here",
            hint="name it with -a NAME, or add the remote: hostd git remote -a NAME",
        )
    parts, known = urlsplit(url), login.read(process_environment()).url
    if parts.scheme == "ssh":
        here = parts.hostname == urlsplit(known).hostname
    else:
        here = f"{parts.scheme}://{parts.netloc}" == known
    if not here:
        raise Invalid(
            f"the remote {REMOTE} is {shown(url)}, but you are logged in at {known}", hint="use -a NAME"
        )
    return parts.path.strip("/").removesuffix(".git")
