"""releases and rollback."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, PreviewOption, chosen_app, chosen_preview, remember
from hostd.errors import Invalid
from hostd.model.names import shown

releases = typer.Typer(
    rich_markup_mode=None, invoke_without_command=True, help="List releases, show or pin one."
)
TheRelease = Annotated[str, typer.Argument(help="As v12.")]
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
    release: TheRelease,
    app: AppOption = None,
    preview: PreviewOption = None,
    json: Json = False,
) -> None:
    """Show a release, what it changed, and the transcript of its build."""
    path = f"/apps/{chosen_app(app, context)}/releases/{_number(release)}"
    found = Api.here().get(path, preview=chosen_preview(preview, context))
    if json:
        return output.as_json(found)
    shown_first = ("name", "state", "failure", "reason", "commit", "author", "created_at", "url", "image")
    known = {**found, "created_at": output.moment(found["created_at"])}
    pinned = [("pinned", "its image is always kept")] if found["pinned"] else []
    processes = [(process, " ".join(command)) for process, command in found["processes"].items()]
    output.facts(
        [(name.removesuffix("_at"), known[name]) for name in shown_first if known[name]] + pinned + processes
    )
    for text in _changes(found["changes"]):
        output.line(text)
    for line in (found["transcript"] or "").splitlines():
        output.line(line)


@releases.command("pin")
def pin(
    context: typer.Context, release: TheRelease, app: AppOption = None, preview: PreviewOption = None
) -> None:
    """Keep a release's image in any case; others' are kept for the last 10."""
    _pin(context, release, app, preview, pinned=True)


@releases.command("unpin")
def unpin(
    context: typer.Context, release: TheRelease, app: AppOption = None, preview: PreviewOption = None
) -> None:
    """Keep a release's image no longer than others'."""
    _pin(context, release, app, preview, pinned=False)


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


def _pin(context: typer.Context, release: str, app: str | None, preview: str | None, *, pinned: bool) -> None:
    path = f"/apps/{chosen_app(app, context)}/releases/{_number(release)}"
    now = Api.here().patch(path, {"pinned": pinned}, preview=chosen_preview(preview, context))
    kept = "always kept" if now["pinned"] else "kept as long as others' are"
    output.line(f"the image of {now['name']} is {kept}")


def _changes(found: Mapping[str, Any]) -> Iterator[str]:
    """What changed, a line each: `+` came, `-` went, `~` is another."""
    yield f"changes since {found['since']}:" if found["since"] else "the first release:"
    for mark, commits in (("+", found["commits"]), ("-", found["withdrawn"])):
        yield from (f"  {mark} {commit['commit'][:7]} {commit['summary']}" for commit in commits)
    for what, names in (("config", found["config"]), ("process", found["processes"])):
        for mark, kind in (("+", "added"), ("~", "changed"), ("-", "removed")):
            yield from (f"  {mark} {what} {name}" for name in names[kind])
    if found["since"]:
        yield f"  {'the same' if found['same_image'] else 'another'} image"


def _number(release: str) -> int:
    found = re.fullmatch(r"v?([1-9][0-9]{0,8})", release)
    if not found:
        raise Invalid(
            f"{shown(release)} is not a release", hint="releases are called v1, v2, ...: hostd releases"
        )
    return int(found[1])
