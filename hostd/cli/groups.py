"""groups: config that several apps share."""

from typing import Annotated

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.config import (
    BuildOnlyOption,
    BuildOption,
    GenerateOption,
    RunOnlyOption,
    SecretOption,
    ShareOption,
    Variables,
    changes,
    chosen_scopes,
    show,
)
from hostd.cli.repository import AppOption, PreviewOption, chosen_app
from hostd.model.config_group import check_group_name

groups = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Config variables that several apps share."
)
Group = Annotated[str, typer.Argument(help="The group.", callback=check_group_name)]


@groups.command("create")
def create(group: Group) -> None:
    """Create an empty group."""
    Api.here().post("/groups", {"name": group})
    output.line(
        f"{group} is created: hostd groups set {group} NAME=value, hostd groups attach {group} -a APP"
    )


@groups.command("list")
def list_groups(json: Json = False) -> None:
    """List your groups, and what they are attached to."""
    found = Api.here().get("/groups")
    if json:
        return output.as_json(found)
    output.table(
        ["GROUP", "VARIABLES", "ATTACHED TO"],
        [[item["name"], len(item["config"]), ", ".join(item["attached_to"]) or "-"] for item in found],
        "no groups yet: hostd groups create NAME",
    )


@groups.command("show")
def show_group(group: Group, json: Json = False) -> None:
    """List what is in a group; values of secrets are never shown."""
    found = Api.here().get(f"/groups/{group}")
    if json:
        return output.as_json(found)
    show({name: {**var, "source": "own"} for name, var in found["config"].items()})
    output.line(f"# attached to {', '.join(found['attached_to']) or 'nothing yet'}")


@groups.command("destroy")
def destroy(group: Group) -> None:
    """Destroy a group that is attached to nothing."""
    Api.here().delete(f"/groups/{group}")
    output.line(f"{group} is destroyed")


@groups.command("set")
def set_variables(  # noqa: PLR0913 (its options)
    group: Group,
    variables: Variables = None,
    generate: GenerateOption = None,
    secret: SecretOption = None,
    build: BuildOption = False,
    build_only: BuildOnlyOption = False,
    run_only: RunOnlyOption = False,
    with_previews: ShareOption = False,
) -> None:
    """Set variables of a group, and start every app it is attached to anew with them."""
    scopes = chosen_scopes(build, build_only, run_only, with_previews)
    _change(group, changes(variables or [], generate or [], secret, scopes))


@groups.command("unset")
def unset_variables(
    group: Group, names: Annotated[list[str], typer.Argument(help="As GREETING.", metavar="NAME...")]
) -> None:
    """Unset variables of a group, and start every app it is attached to anew without them."""
    _change(group, dict.fromkeys(names))


@groups.command("attach")
def attach(group: Group, app: AppOption = None, preview: PreviewOption = None) -> None:
    """Give an app what is in a group, under its own config and over groups attached before."""
    _tie("PUT", group, app, preview, "attached")


@groups.command("detach")
def detach(group: Group, app: AppOption = None, preview: PreviewOption = None) -> None:
    """Take a group away from an app."""
    _tie("DELETE", group, app, preview, "detached")


def _change(group: str, wanted: dict[str, object]) -> None:
    releases = Api.here().work("PATCH", f"/groups/{group}", wanted, output.line)
    has = "no longer has" if all(value is None for value in wanted.values()) else "has"
    output.line(f"{', '.join(wanted)}: {group} {has} it; environments started anew: {len(releases)}")


def _tie(method: str, group: str, app: str | None, preview: str | None, done: str) -> None:
    path = f"/apps/{chosen_app(app)}/groups/{group}"
    release = Api.here().work(method, path, {}, output.line, preview=preview)
    output.line(f"{group} is {done}" + (f": {release['name']} is live" if release else ""))
