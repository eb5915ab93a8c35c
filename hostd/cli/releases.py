"""releases and rollback."""

import re
from typing import Annotated

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, PreviewOption, chosen_app, chosen_preview, remember
from hostd.errors import Invalid
from hostd.model.names import shown

releases = typer.Typer(rich_markup_mode=None, invoke_without_command=True, help="List releases, or show one.")
Lines = Annotated[int, typer.Option("-n", "--limit", help="How many.", min=1, max=200)]


@releases.callback()
def list_releases(
    context: typer.Context,
    app: AppOption = None,
    preview: PreviewOption = None,
    limit: Lines = 20,
    json: Json = False,
) -> None:
    """List releases, newest first."""
    remember(context, app, preview)
    if context.invoked_subcommand:
        return
    found = Api.here().get(f"/apps/{chosen_app(app)}/releases", limit=limit, preview=preview)
    if json:
        return output.as_json(found)
    output.table(
        ["RELEASE", "STATE", "REASON", "BY", "CREATED"],
        [
            [item["name"], item["state"], item["failure"] or item["reason"], item["author"]]
            + [output.moment(item["created_at"])]
            for item in found
        ],
    )


@releases.command("info")
def info(
    context: typer.Context,
    release: Annotated[str, typer.Argument(help="As v12.")],
    app: AppOption = None,
    preview: PreviewOption = None,
    json: Json = False,
) -> None:
    """Show a release and the transcript of its build."""
    path = f"/apps/{chosen_app(app, context)}/releases/{_number(release)}"
    found = Api.here().get(path, preview=chosen_preview(preview, context))
    if json:
        return output.as_json(found)
    shown_first = ("name", "state", "failure", "reason", "commit", "author", "created_at", "image")
    output.facts([(name.removesuffix("_at"), found[name]) for name in shown_first if found[name]])
    for process, command in found["processes"].items():
        output.facts([(process, " ".join(command))])
    for line in (found["transcript"] or "").splitlines():
        output.line(line)


def rollback(
    release: Annotated[str | None, typer.Argument(help="As v12; else the one before the live one.")] = None,
    app: AppOption = None,
    preview: PreviewOption = None,
    pause: Annotated[bool, typer.Option(help="Pause deploys until: hostd deploys resume.")] = True,
) -> None:
    """Go back to an earlier release. Its image and its config make a new one."""
    number = _number(release) if release else None
    path = f"/apps/{chosen_app(app)}/rollback"
    new = Api.here().work("POST", path, {"number": number, "pause": pause}, output.line, preview=preview)
    output.line(f"{new['name']} is live: {new['reason']}")


def promote(
    branch: Annotated[str, typer.Argument(help="The branch of the preview, or its name.")],
    app: AppOption = None,
) -> None:
    """Make what runs in a preview live in production: the same image, without a build, with production's config."""
    path = f"/apps/{chosen_app(app)}/promote"
    new = Api.here().work("POST", path, {"branch": branch}, output.line)
    output.line(f"{new['name']} is live: {new['reason']}")


def _number(release: str) -> int:
    found = re.fullmatch(r"v?([1-9][0-9]{0,8})", release)
    if not found:
        raise Invalid(
            f"{shown(release)} is not a release", hint="releases are called v1, v2, ...: hostd releases"
        )
    return int(found[1])
