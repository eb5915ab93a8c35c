"""apps, open, and the git remote of an App."""

from pathlib import Path
from typing import Annotated

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, PreviewOption, add_remote, chosen_app, in_repository
from hostd.errors import Conflict
from hostd.model.names import check_app_name

apps = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Create, list, show, change and destroy apps."
)
git_commands = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Connect git to hostd.")
Name = Annotated[str | None, typer.Argument(help="The app; else the one of the git remote hostd.")]


@apps.command("create")
def create(
    name: Annotated[str | None, typer.Argument(help="Its name; else that of this directory.")] = None,
) -> None:
    """Create an app; in a git repository, add the remote hostd."""
    app = Api.here().post("/apps", {"name": name or Path.cwd().name})
    output.line(f"created {app['name']}: {app['url']}")
    if not in_repository():
        return output.line(f"push to {app['git_url']}")
    try:
        output.line(f"{add_remote(app['git_url'])}; deploy with: git push hostd {app['production_branch']}")
    except Conflict as error:
        output.line(f"{error.message}; {error.hint}")


@apps.command("list")
def list_apps(json: Json = False) -> None:
    """List your apps."""
    found = Api.here().get("/apps")
    if json:
        return output.as_json(found)
    rows = [[app["name"], app["url"], output.moment(app["created_at"])] for app in found]
    output.table(["NAME", "URL", "CREATED"], rows, "no apps yet: hostd apps create NAME")


@apps.command("info")
def info(name: Name = None, app: AppOption = None, preview: PreviewOption = None, json: Json = False) -> None:
    """Show an app, as it is in production or in a preview."""
    found = Api.here().get(f"/apps/{chosen_app(name or app)}", preview=preview)
    if json:
        return output.as_json(found)
    formation = ", ".join(f"{process}={count}" for process, count in found["formation"].items())
    output.facts(
        [
            ("name", found["name"]),
            ("url", found["url"]),
            ("git", found["git_url"]),
            *([("ssh", found["ssh_url"])] if found["ssh_url"] else []),
            ("branch", found["production_branch"]),
            ("release", found["release"] or "none yet"),
            ("formation", formation or "as the release has it"),
            ("created", output.moment(found["created_at"])),
        ]
    )


@apps.command("destroy")
def destroy(
    name: Name = None,
    app: AppOption = None,
    confirm: Annotated[str | None, typer.Option(help="The app's name, again.", metavar="NAME")] = None,
) -> None:
    """Destroy an app and all it has. Its name cannot be used again."""
    chosen = chosen_app(name or app)
    typed = confirm if confirm is not None else typer.prompt(f"To destroy {chosen}, type its name")
    Api.here().delete(f"/apps/{chosen}", confirm=typed)
    output.line(f"{chosen} is destroyed")


@apps.command("set")
def set_app(
    production_branch: Annotated[
        str, typer.Option("--production-branch", help="The branch that production runs.", metavar="BRANCH")
    ],
    app: AppOption = None,
) -> None:
    """Choose which branch goes to production, from its next push on."""
    changed = Api.here().patch(f"/apps/{chosen_app(app)}", {"production_branch": production_branch})
    branch = changed["production_branch"]
    output.line(f"{branch} goes to production from its next push on; what runs there stays until then")


def open_app(app: AppOption = None, preview: PreviewOption = None) -> None:
    """Open an app, or one of its previews, in the browser."""
    url = Api.here().get(f"/apps/{chosen_app(app)}", preview=preview)["url"]
    output.line(url)
    typer.launch(url)


@git_commands.callback()
def group() -> None:
    """Connect git to hostd."""


@git_commands.command("remote")
def remote(
    app: AppOption = None,
    ssh: Annotated[bool, typer.Option("--ssh", help="Over SSH: see hostd keys add.")] = False,
) -> None:
    """Add the remote hostd to the repository here."""
    found = Api.here().get(f"/apps/{check_app_name(app or Path.cwd().name)}")
    if ssh and not found["ssh_url"]:
        raise Conflict("git over SSH is switched off there", hint="leave out --ssh")
    output.line(add_remote(found["ssh_url"] if ssh else found["git_url"]))
