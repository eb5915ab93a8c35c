"""ps and logs."""

import re
from collections.abc import Mapping
from typing import Annotated

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.config import pairs
from hostd.cli.repository import AppOption, PreviewOption, chosen_app, chosen_preview, remember
from hostd.errors import Invalid
from hostd.model.names import shown

ps = typer.Typer(rich_markup_mode=None, invoke_without_command=True, help="Show what runs, or scale it.")


@ps.callback()
def list_processes(
    context: typer.Context, app: AppOption = None, preview: PreviewOption = None, json: Json = False
) -> None:
    """Show every instance and its state."""
    remember(context, app, preview)
    if context.invoked_subcommand:
        return
    found = Api.here().get(f"/apps/{chosen_app(app)}/processes", preview=preview)
    if json:
        return output.as_json(found)
    output.table(
        ["PROCESS", "STATE", "SINCE", "RELEASE", "RESTARTS", "COMMAND"],
        [
            [_place(item), item["state"], output.moment(item["since"]), item["release"]]
            + [item["restarts"], item["command"]]
            for item in found
        ],
    )


@ps.command("scale")
def scale(
    context: typer.Context,
    quantities: Annotated[
        list[str], typer.Argument(help="As web=2 worker=1.", metavar="PROCESS=QUANTITY...")
    ],
    app: AppOption = None,
    preview: PreviewOption = None,
) -> None:
    """Run more or fewer instances of a process type."""
    wanted = {name: _quantity(name, value) for name, value in pairs(quantities, "web=2").items()}
    path = f"/apps/{chosen_app(app, context)}/formation"
    chosen = chosen_preview(preview, context)
    formation = Api.here().work("PATCH", path, wanted, output.line, preview=chosen)
    output.line(", ".join(f"{name}={quantity}" for name, quantity in formation.items()))


@ps.command("sleep")
def sleep(
    context: typer.Context,
    after: Annotated[int | None, typer.Option("--after", help="Seconds without a request.", min=1)] = None,
    never: Annotated[bool, typer.Option("--never", help="Stay awake.")] = False,
    default: Annotated[bool, typer.Option("--default", help="Previews sleep, production does not.")] = False,
    app: AppOption = None,
    preview: PreviewOption = None,
    json: Json = False,
) -> None:
    """Show or set when web instances fall asleep; the next request wakes them."""
    path, chosen = f"/apps/{chosen_app(app, context)}/sleep", chosen_preview(preview, context)
    if (after is not None) + never + default > 1:
        raise Invalid("--after, --never and --default exclude each other")
    if after is not None or never or default:
        wanted = {"after": 0 if never else after}
        found = Api.here().patch(path, wanted, preview=chosen)
    else:
        found = Api.here().get(path, preview=chosen)
    if json:
        return output.as_json(found)
    output.line(f"sleeps after {found['after']} s without a request" if found["after"] else "never sleeps")


def logs(
    app: AppOption = None,
    preview: PreviewOption = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", help="How many of the last.", min=0, max=1500)] = 100,
    process: Annotated[str | None, typer.Option("-p", "--process", help="As web, worker, router.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print each line as JSON.")] = False,
) -> None:
    """Show what the instances printed and what the router served."""
    path = f"/apps/{chosen_app(app)}/logs"
    query = {"lines": lines, "process": process, "follow": "true" if follow else None, "preview": preview}
    with Api.here().lines(path, **query) as coming:
        for line in coming:
            if json:
                output.json_line(_parsed(line))
            else:
                output.line(line)


def _quantity(name: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", value):
        raise Invalid(
            f"{shown(f'{name}={value}')} is not a quantity: a whole number from 0 to 100", hint="as: web=2"
        )
    return int(value)


def _place(item: Mapping[str, str]) -> str:
    """`web.1`, as in the logs: the number is the end of the Instance's id."""
    number = item["instance_id"].rpartition("-")[2]
    return f"{item['process']}.{number}" if number else item["process"]


def _parsed(line: str) -> Mapping[str, str]:
    at, _, rest = line.partition(" ")
    source, _, text = rest.partition(": ")
    return {"at": at, "source": source, "text": text}
