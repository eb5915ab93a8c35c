"""deploys: whether pushes are deployed."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, PreviewOption, chosen_app, chosen_preview, remember

deploys = typer.Typer(
    rich_markup_mode=None,
    invoke_without_command=True,
    help="See whether pushes are deployed; pause and resume them.",
)
Reason = Annotated[str, typer.Option("--reason", help="What those read whose push is refused.")]


@deploys.callback()
def group(
    context: typer.Context, app: AppOption = None, preview: PreviewOption = None, json: Json = False
) -> None:
    """See whether pushes are deployed; pause and resume them. A rollback pauses them."""
    remember(context, app, preview)
    if not context.invoked_subcommand:
        _show(chosen_app(app), preview, json)


@deploys.command("status")
def status(
    context: typer.Context, app: AppOption = None, preview: PreviewOption = None, json: Json = False
) -> None:
    """Say whether pushes are deployed."""
    _show(chosen_app(app, context), chosen_preview(preview, context), json)


@deploys.command("pause")
def pause(
    context: typer.Context, reason: Reason = "", app: AppOption = None, preview: PreviewOption = None
) -> None:
    """Refuse pushes until they are resumed. Rollback, promote and config go on."""
    where = chosen_app(app, context), chosen_preview(preview, context)
    _say(where[0], _change(*where, paused=True, reason=reason))


@deploys.command("resume")
def resume(context: typer.Context, app: AppOption = None, preview: PreviewOption = None) -> None:
    """Deploy pushes again. So does a push with -o resume, if what it brings goes live."""
    where = chosen_app(app, context), chosen_preview(preview, context)
    _say(where[0], _change(*where, paused=False))


def _show(app: str, preview: str | None, json: bool) -> None:
    found = Api.here().get(f"/apps/{app}/deploys", preview=preview)
    if json:
        return output.as_json(found)
    _say(app, found)


def _change(app: str, preview: str | None, **change: object) -> Any:
    return Api.here().patch(f"/apps/{app}/deploys", change, preview=preview)


def _say(app: str, found: Mapping[str, Any]) -> None:
    if not found["paused"]:
        return output.line(f"pushes to {app} are deployed")
    why = f": {found['reason']}" if found["reason"] else ""
    since = output.moment(found["since"])
    output.line(f"deploys of {app} are paused by {found['author']} since {since}{why}")
    output.line("to resume: git push -o resume, or hostd deploys resume")
