"""certs: the certificates of an app's hosts."""

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.domains import Name
from hostd.cli.repository import AppOption, chosen_app, remember
from hostd.errors import Invalid
from hostd.model.names import shown

certs = typer.Typer(
    rich_markup_mode=None, invoke_without_command=True, help="See and upload certificates of an app's hosts."
)
SIZE_LIMIT = 64 * 1024  # bytes


@certs.callback()
def group(context: typer.Context, app: AppOption = None, json: Json = False) -> None:
    """See and upload certificates of an app's hosts."""
    remember(context, app)
    if not context.invoked_subcommand:
        _show_list(chosen_app(app), json)


@certs.command("list")
def list_certificates(context: typer.Context, app: AppOption = None, json: Json = False) -> None:
    """List the certificates there are, until when they are valid, and what failed."""
    _show_list(chosen_app(app, context), json)


@certs.command("upload")
def upload(
    context: typer.Context,
    name: Name,
    cert: Annotated[
        Path, typer.Option(help="PEM file: the host's certificate, then the ones that vouch for it.")
    ],
    key: Annotated[Path, typer.Option(help="PEM file: its private key, not encrypted.")],
    app: AppOption = None,
) -> None:
    """Use a certificate of your own for a domain. hostd then fetches none, and you renew it."""
    path = f"/apps/{chosen_app(app, context)}/certificates/{quote(name, safe='')}"
    kept = Api.here().put(path, {"chain": _read(cert), "key": _read(key)})
    output.line(f"{kept['host']} has this certificate now, valid until {output.moment(kept['not_after'])}")


@certs.command("remove")
def remove(context: typer.Context, name: Name, app: AppOption = None) -> None:
    """Forget a certificate. One that hostd can fetch is fetched anew."""
    Api.here().delete(f"/apps/{chosen_app(app, context)}/certificates/{quote(name, safe='')}")
    output.line(f"the certificate for {name} is removed")


def _show_list(app: str, json: bool) -> None:
    found = Api.here().get(f"/apps/{app}/certificates")
    if json:
        return output.as_json(found)
    output.table(
        ["HOST", "FROM", "VALID UNTIL", "PROBLEM", "NEXT TRY"],
        [
            [item["host"], "upload" if item["uploaded"] else "ACME", output.moment(item["not_after"])]
            + [item["problem"] or "-", output.moment(item["next_try"]) if item["problem"] else "-"]
            for item in found
        ],
    )


def _read(path: Path) -> str:
    try:
        with path.expanduser().open("rb") as file:
            return file.read(SIZE_LIMIT + 1).decode()
    except OSError as error:
        raise Invalid(f"{shown(str(path))} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Invalid(
            f"{shown(str(path))} is not PEM", hint="openssl x509 -inform der -in FILE, or openssl pkey"
        ) from error
