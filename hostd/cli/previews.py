"""previews: an environment of its own for each branch."""

from typing import Annotated

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, chosen_app, remember

previews = typer.Typer(
    rich_markup_mode=None, invoke_without_command=True, help="See, create and destroy previews of branches."
)
Branch = Annotated[str, typer.Argument(help="The branch, or the preview's name.")]


@previews.callback()
def group(context: typer.Context, app: AppOption = None, json: Json = False) -> None:
    """See, create and destroy previews of branches."""
    remember(context, app)
    if not context.invoked_subcommand:
        _show_list(chosen_app(app), json)


@previews.command("list")
def list_previews(context: typer.Context, app: AppOption = None, json: Json = False) -> None:
    """List the previews there are, and until when they are kept."""
    _show_list(chosen_app(app, context), json)


@previews.command("create")
def create(context: typer.Context, branch: Branch, app: AppOption = None) -> None:
    """Deploy a branch that was pushed before. A push of a branch does so by itself."""
    path = f"/apps/{chosen_app(app, context)}/previews"
    Api.here().work("POST", path, {"branch": branch}, output.line)


@previews.command("destroy")
def destroy(context: typer.Context, branch: Branch, app: AppOption = None) -> None:
    """Destroy a preview and all it has. The branch stays."""
    Api.here().delete(f"/apps/{chosen_app(app, context)}/previews", preview=branch)
    output.line(f"the preview of {branch} is destroyed")


@previews.command("on")
def switch_on(context: typer.Context, app: AppOption = None) -> None:
    """Have every push of another branch than production's deploy a preview."""
    _change(chosen_app(app, context), enabled=True)


@previews.command("off")
def switch_off(context: typer.Context, app: AppOption = None) -> None:
    """Have such pushes stored only. Previews there are stay until their time is over."""
    _change(chosen_app(app, context), enabled=False)


@previews.command("ttl")
def ttl(
    context: typer.Context,
    days: Annotated[int, typer.Argument(help="1 to 365.", min=1, max=365)],
    app: AppOption = None,
) -> None:
    """Keep a preview so many days after the last push to its branch."""
    _change(chosen_app(app, context), days=days)


@previews.command("password")
def password(
    context: typer.Context,
    value: Annotated[str | None, typer.Argument(help="The password; asked for if left out.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Let everybody in again.")] = False,
    app: AppOption = None,
) -> None:
    """Have all previews of the app ask for a password; any user name will do."""
    chosen = chosen_app(app, context)
    if not off and value is None:
        value = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    _change(chosen, password="" if off else value)


def _show_list(app: str, json: bool) -> None:
    found = Api.here().get(f"/apps/{app}/previews")
    if json:
        return output.as_json(found)
    output.table(
        ["BRANCH", "URL", "RELEASE", "COMMIT", "LAST PUSH", "KEPT UNTIL"],
        [
            [item["branch"], item["url"], item["release"] or "-", (item["commit"] or "-")[:7]]
            + [output.moment(item["last_push"]), output.moment(item["expires"])]
            for item in found
        ],
        f"{app} has no previews: push another branch than production's",
    )


def _change(app: str, **changes: object) -> None:
    now = Api.here().patch(f"/apps/{app}/previews/settings", changes)
    switched = "on" if now["enabled"] else "off"
    guarded = "behind a password" if now["has_password"] else "open to everybody"
    output.line(f"previews of {app} are {switched}, kept {now['days']} days after the last push, {guarded}")
