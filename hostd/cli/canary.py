"""canary: how the one under way stands, and ending it."""

from collections.abc import Mapping
from typing import Any

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, PreviewOption, chosen_app, chosen_preview, remember

canary = typer.Typer(
    rich_markup_mode=None, invoke_without_command=True, help="Show the canary that is under way, or end it."
)


@canary.callback()
def show(
    context: typer.Context, app: AppOption = None, preview: PreviewOption = None, json: Json = False
) -> None:
    """Show the canary that is under way: `git push -o canary=10` or [canary] in hostd.toml make one."""
    remember(context, app, preview)
    if context.invoked_subcommand is None:
        _show(context, app, preview, json)


@canary.command("status")
def status(
    context: typer.Context, app: AppOption = None, preview: PreviewOption = None, json: Json = False
) -> None:
    """Show how both releases do."""
    _show(context, app, preview, json)


@canary.command("promote")
def promote(context: typer.Context, app: AppOption = None, preview: PreviewOption = None) -> None:
    """Make the new release live now."""
    found = _end(context, app, preview, "promote")
    output.line(f"{found['new']} goes live; the push tells when it is")


@canary.command("abort")
def abort(context: typer.Context, app: AppOption = None, preview: PreviewOption = None) -> None:
    """Give the old release all requests again, and have the push rejected."""
    found = _end(context, app, preview, "abort")
    output.line(f"{found['old']} gets all requests again")


def _show(context: typer.Context, app: str | None, preview: str | None, json: bool) -> None:
    path = f"/apps/{chosen_app(app, context)}/canary"
    found = Api.here().get(path, preview=chosen_preview(preview, context))
    if json:
        return output.as_json(found)
    rows = [
        [found[name], f"{percent} %", traffic["requests"], traffic["errors"], _p95(traffic)]
        for name, percent in (("new", found["weight"]), ("old", 100 - found["weight"]))
        for traffic in (found[f"{name}_traffic"],)
    ]
    output.table(["RELEASE", "SHARE", "REQUESTS", "5XX", "P95"], rows)
    output.line(f"{found['elapsed']} s of {found['seconds']} s")


def _end(context: typer.Context, app: str | None, preview: str | None, end: str) -> Mapping[str, Any]:
    path = f"/apps/{chosen_app(app, context)}/canary"
    found: Mapping[str, Any] = Api.here().patch(path, {"end": end}, preview=chosen_preview(preview, context))
    return found


def _p95(traffic: Mapping[str, Any]) -> str:
    return "-" if traffic["p95_ms"] is None else f"{traffic['p95_ms']:.0f} ms"
