"""login, logout, whoami and tokens."""

from typing import Annotated
from urllib.parse import urlsplit

import typer

from hostd.cli import git_login, output
from hostd.cli import login as logins
from hostd.cli.api import Api
from hostd.errors import Invalid
from hostd.model.names import shown
from hostd.settings import process_environment

tokens = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Create, list and revoke your tokens.")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def login(
    url: Annotated[str, typer.Argument(help="Where hostd answers.")] = "http://localhost:8081",
    token: Annotated[
        str | None, typer.Option(help="The token; asked for if not given.", metavar="TOKEN")
    ] = None,
) -> None:
    """Log in, and have git use the same token."""
    known = logins.Login(_checked(url), (token or typer.prompt("Token", hide_input=True)).strip())
    user = Api(known).get("/user")
    env = process_environment()
    logins.write(env, known)
    git_login.remember(env, known)
    output.line(f"logged in at {known.url} as {user['name']}")


def logout() -> None:
    """Forget the token on this machine. It stays valid: see hostd tokens revoke."""
    env = process_environment()
    if logins.path(env).exists():
        git_login.forget(env, logins.read(env).url)
        logins.forget(env)
    output.line("logged out")


def whoami(json: Json = False) -> None:
    """Show who you are, and where."""
    user = Api.here().get("/user")
    url = logins.read(process_environment()).url
    if json:
        return output.as_json({**user, "url": url})
    output.line(f"{user['name']}{' (administrator)' if user['administrator'] else ''} at {url}")


@tokens.command("create")
def create_token(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    days: Annotated[int | None, typer.Option(help="Days until it expires.", min=1, max=3650)] = None,
) -> None:
    """Create a token. It is printed this once."""
    issued = Api.here().post("/tokens", {"name": name, "expires_in_days": days})
    output.line(issued["token"])


@tokens.command("list")
def list_tokens(json: Json = False) -> None:
    """List your tokens."""
    found = Api.here().get("/tokens")
    if json:
        return output.as_json(found)
    output.table(
        ["ID", "NAME", "CREATED", "LAST USED", "EXPIRES"],
        [
            [item["id"], item["name"], output.moment(item["created_at"])]
            + [output.moment(item["last_used_at"]), output.moment(item["expires_at"])]
            for item in found
        ],
    )


@tokens.command("revoke")
def revoke_token(token_id: Annotated[int, typer.Argument(help="Its id, from the list.", min=1)]) -> None:
    """Revoke a token: from then on it opens nothing."""
    Api.here().delete(f"/tokens/{token_id}")
    output.line(f"token {token_id} is revoked")


def _checked(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    plain = parts.scheme in ("http", "https") and parts.netloc and parts.path in ("", "/") and not parts.query
    if not plain or "@" in parts.netloc:
        raise Invalid(
            f"{shown(url)} is not the URL of a hostd", hint="as: hostd login https://hostd.example.org"
        )
    return f"{parts.scheme}://{parts.netloc}"
