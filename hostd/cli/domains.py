"""domains: host names of one's own for an app."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, chosen_app, remember

domains = typer.Typer(
    rich_markup_mode=None, invoke_without_command=True, help="Let an app answer at host names of your own."
)
Name = Annotated[str, typer.Argument(help="As www.example.com, or *.example.com.", metavar="DOMAIN")]


@domains.callback()
def group(context: typer.Context, app: AppOption = None, json: Json = False) -> None:
    """Let an app answer at host names of your own."""
    remember(context, app)
    if not context.invoked_subcommand:
        _show_list(chosen_app(app), json)


@domains.command("list")
def list_domains(context: typer.Context, app: AppOption = None, json: Json = False) -> None:
    """List the app's domains, and what is still to be done about each."""
    _show_list(chosen_app(app, context), json)


@domains.command("add")
def add(
    context: typer.Context,
    name: Name,
    app: AppOption = None,
    preview: Annotated[
        str | None, typer.Option("--preview", "-e", help="For the preview of this branch.")
    ] = None,
    json: Json = False,
) -> None:
    """Add a domain. It answers once it is proved to be yours; prints the DNS records for that."""
    path = f"/apps/{chosen_app(app, context)}/domains"
    _show(Api.here().post(path, {"domain": name}, preview=preview), json)


@domains.command("check")
def check(context: typer.Context, name: Name, app: AppOption = None, json: Json = False) -> None:
    """Look now whether a domain is proved. hostd does so by itself too, less and less often."""
    path = f"/apps/{chosen_app(app, context)}/domains/{quote(name, safe='')}/check"
    _show(Api.here().post(path, {}), json)


@domains.command("remove")
def remove(context: typer.Context, name: Name, app: AppOption = None) -> None:
    """Remove a domain: from then on it answers as unknown."""
    Api.here().delete(f"/apps/{chosen_app(app, context)}/domains/{quote(name, safe='')}")
    output.line(f"{name} is removed")


def _show_list(app: str, json: bool) -> None:
    found = Api.here().get(f"/apps/{app}/domains")
    if json:
        return output.as_json(found)
    output.table(
        ["DOMAIN", "FOR", "STATE"],
        [[item["readable"], item["environment"], _state(item)] for item in found],
    )


def _show(domain: Mapping[str, Any], json: bool) -> None:
    if json:
        return output.as_json(domain)
    ascii_too = "" if domain["readable"] == domain["domain"] else f" ({domain['domain']})"
    output.line(f"{domain['readable']}{ascii_too}: {_state(domain)}")
    if not domain["proved"]:
        output.line("set these records where its DNS is kept; hostd looks for them by itself:")
        output.table(
            ["NAME", "TYPE", "VALUE"],
            [[record["name"], record["type"], record["value"]] for record in domain["records"]],
        )


def _state(domain: Mapping[str, Any]) -> str:
    if domain["proved"]:
        return "proved" + (f", but {domain['problem']}" if domain["problem"] else "")
    return f"pending: {domain['problem']}; next look at {output.moment(domain['next_try'])}"
