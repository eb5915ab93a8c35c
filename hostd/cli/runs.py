"""run and runs: one-off commands in a fresh instance of the app."""

import json as jsons
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, PreviewOption, chosen_app, chosen_preview, remember
from hostd.errors import Invalid
from hostd.model.names import shown
from hostd.settings import process_environment

runs = typer.Typer(
    rich_markup_mode=None, invoke_without_command=True, help="Show one-off commands, or end one."
)


def _id(text: str) -> int:
    """`7`, or the name that a run has in logs: `run.7`, `cron.report.7`."""
    number = text.rpartition(".")[2]
    if not number.isdecimal() or len(number) > 15:
        raise typer.BadParameter(f"{shown(text)} is no run: write its number, as hostd runs shows it")
    return int(number)


RunId = Annotated[
    int, typer.Argument(help="Its number, as hostd runs shows it, or its name.", parser=_id, metavar="ID")
]


def run(
    words: Annotated[
        list[str], typer.Argument(help="The command, or a process type and more words.", metavar="COMMAND...")
    ],
    app: AppOption = None,
    preview: PreviewOption = None,
    release: Annotated[str | None, typer.Option("--release", help="As v3; else the live one.")] = None,
    env: Annotated[
        list[str] | None, typer.Option("--env", help="A variable for this run.", metavar="NAME=VALUE")
    ] = None,
    no_tty: Annotated[bool, typer.Option("--no-tty", help="Pipes, also at a terminal.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Do not wait; the output goes to the log.")
    ] = False,
) -> None:
    """Run a command in a fresh instance of the app: a shell, a migration. Its exit status is this command's.

    One word is a line for bash ('ls | wc -l'), several are these very words. Hanging up ends it, unless --detach.
    """
    wanted: dict[str, object] = {"command": words, "env": _variables(env or []), "release": _number(release)}
    api, chosen = Api.here(), chosen_app(app)
    if detach:
        begun = api.post(f"/apps/{chosen}/runs", wanted, preview=preview)
        output.line(begun["name"])
        output.remark(f"its output: hostd logs -p run, or hostd runs output {begun['id']}")
        return
    from hostd.cli import terminal

    raw = not no_tty and sys.stdin.isatty() and sys.stdout.isatty()
    if raw:
        kind = process_environment().get("TERM") or "xterm"
        wanted["terminal"] = {**terminal.size(), "kind": kind}
    with api.terminal(f"/apps/{chosen}/run", preview=preview) as socket:
        socket.send(jsons.dumps(wanted))
        ended = terminal.sit(socket, raw)
    if ended["limit"]:
        print(f" !     it {ended['text']}", file=sys.stderr)
    sys.exit(ended["status"])


@runs.callback()
def list_runs(
    context: typer.Context, app: AppOption = None, preview: PreviewOption = None, json: Json = False
) -> None:
    """Show the last one-off commands, newest first."""
    remember(context, app, preview)
    if context.invoked_subcommand:
        return
    found = Api.here().get(f"/apps/{chosen_app(app)}/runs", preview=preview)
    show(found, json)


@runs.command("output")
def show_output(
    run_id: RunId, context: typer.Context, app: AppOption = None, preview: PreviewOption = None
) -> None:
    """Print the end of what one printed, that nobody sat at."""
    path = f"/apps/{chosen_app(app, context)}/runs/{run_id}"
    for line in Api.here().get(path, preview=chosen_preview(preview, context))["output"].splitlines():
        output.line(line)


@runs.command("stop")
def stop(run_id: RunId, context: typer.Context, app: AppOption = None, preview: PreviewOption = None) -> None:
    """End one that runs."""
    path = f"/apps/{chosen_app(app, context)}/runs/{run_id}"
    Api.here().delete(path, preview=chosen_preview(preview, context))
    output.line(f"run {run_id} is ended")


def show(found: Sequence[Mapping[str, Any]], json: bool) -> None:
    """Runs as a table, or as JSON."""
    if json:
        return output.as_json(found)
    output.table(
        ["ID", "PROCESS", "STATE", "STARTED", "ENDED", "STATUS", "RELEASE", "BY", "COMMAND"],
        [
            [item["id"], item["name"].rpartition(".")[0], item["state"], output.moment(item["started_at"])]
            + [output.moment(item["ended_at"]), _status(item), item["release"], item["author"] or "schedule"]
            + [item["command"]]
            for item in found
        ],
    )


def _status(item: Mapping[str, Any]) -> str:
    if item["status"] is None:
        return "-"
    return f"{item['status']} ({item['limit']})" if item["limit"] else str(item["status"])


def _number(release: str | None) -> int | None:
    if release is None:
        return None
    if not release.removeprefix("v").isascii() or not release.removeprefix("v").isdigit():
        raise Invalid(f"{shown(release)} is no release", hint="as: --release v3")
    return int(release.removeprefix("v"))


def _variables(words: Sequence[str]) -> dict[str, str]:
    for word in words:
        if "=" not in word:
            raise Invalid(f"{shown(word)} has no =", hint="as: --env DEBUG=1")
    return {name: value for name, _, value in (word.partition("=") for word in words)}
