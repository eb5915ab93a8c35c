"""domains: host names of one's own for an app."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, chosen_app, remember
from hostd.errors import Invalid
from hostd.model.names import shown

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


@domains.command("tls")
def tls(
    context: typer.Context,
    redirect: Annotated[str | None, typer.Option(help="on or off: send plain HTTP on to HTTPS.")] = None,
    hsts: Annotated[
        str | None, typer.Option(help="Seconds for which browsers are to insist on HTTPS, or off.")
    ] = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Show or change what holds at all hosts of the app that have a certificate."""
    path = f"/apps/{chosen_app(app, context)}/tls"
    changes: dict[str, object] = {}
    if redirect is not None:
        changes["redirect"] = _switch(redirect)
    if hsts is not None:
        changes["hsts"] = _seconds(hsts)
    now = Api.here().patch(path, changes) if changes else Api.here().get(path)
    if json:
        return output.as_json(now)
    output.line(f"plain HTTP is {'sent on to' if now['redirect'] else 'served beside'} HTTPS")
    output.line(f"browsers insist on HTTPS for {now['hsts']} s" if now["hsts"] else "HSTS is off")


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise Invalid(f"{shown(text)} is neither on nor off")
    return text == "on"


def _seconds(text: str) -> int:
    if text != "off" and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(f"{shown(text)} is no number of seconds, and not off")
    return 0 if text == "off" else int(text)


def _show_list(app: str, json: bool) -> None:
    found = Api.here().get(f"/apps/{app}/domains")
    if json:
        return output.as_json(found)
    output.table(
        ["DOMAIN", "FOR", "STATE"],
        [[item["readable"], item["environment"], _state(item)] for item in found],
        f"{app} has no domains of its own: hostd domains add NAME",
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
        return (
            "proved"
            + _tls_state(domain["certificate"])
            + (f"; {domain['problem']}" if domain["problem"] else "")
        )
    return f"pending: {domain['problem']}; next look at {output.moment(domain['next_try'])}"


def _tls_state(certificate: Mapping[str, Any] | None) -> str:
    if certificate is None:
        return ""
    until, problem = certificate["not_after"], certificate["problem"]
    state = f", HTTPS until {output.moment(until)}" if until else ", no HTTPS yet"
    return state + (f" ({problem}; next try at {output.moment(certificate['next_try'])})" if problem else "")
