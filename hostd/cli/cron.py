"""cron: what runs by a schedule."""

from typing import Annotated

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, PreviewOption, chosen_app, chosen_preview, remember
from hostd.cli.runs import RunId, show, show_output

cron = typer.Typer(
    rich_markup_mode=None,
    invoke_without_command=True,
    help="Show cron jobs, run or pause one. hostd.toml has them: [[cron]].",
)
Name = Annotated[str, typer.Argument(help="As hostd cron shows it.")]


@cron.callback()
def default(
    context: typer.Context, app: AppOption = None, preview: PreviewOption = None, json: Json = False
) -> None:
    """Show the cron jobs, when each is due (UTC), and how it ended last."""
    remember(context, app, preview)
    if not context.invoked_subcommand:
        _list(chosen_app(app), preview, json)


@cron.command("list")
def list_jobs(
    context: typer.Context, app: AppOption = None, preview: PreviewOption = None, json: Json = False
) -> None:
    """Show the cron jobs, when each is due (UTC), and how it ended last."""
    _list(chosen_app(app, context), chosen_preview(preview, context), json)


@cron.command("run")
def run(name: Name, context: typer.Context, app: AppOption = None, preview: PreviewOption = None) -> None:
    """Run a job now; its output goes to the log."""
    path = f"/apps/{chosen_app(app, context)}/cron/{name}/run"
    output.line(Api.here().post(path, {}, preview=chosen_preview(preview, context))["name"])


@cron.command("history")
def history(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Of this job; else of all.")] = None,
    app: AppOption = None,
    preview: PreviewOption = None,
    json: Json = False,
) -> None:
    """Show the last runs, newest first."""
    path, chosen = f"/apps/{chosen_app(app, context)}/runs", chosen_preview(preview, context)
    found = Api.here().get(path, job=name, limit=50, preview=chosen)
    show([run for run in found if run["job"]], json)


@cron.command("output")
def job_output(
    run_id: RunId, context: typer.Context, app: AppOption = None, preview: PreviewOption = None
) -> None:
    """Print the end of what a run printed."""
    show_output(run_id, context, app, preview)


@cron.command("pause")
def pause(name: Name, context: typer.Context, app: AppOption = None, preview: PreviewOption = None) -> None:
    """Let a job rest; what runs goes on."""
    _pause(name, context, app, preview, paused=True)


@cron.command("resume")
def resume(name: Name, context: typer.Context, app: AppOption = None, preview: PreviewOption = None) -> None:
    """Let it be due again from now on; what it missed is not made up for."""
    _pause(name, context, app, preview, paused=False)


def _pause(name: str, context: typer.Context, app: str | None, preview: str | None, *, paused: bool) -> None:
    path = f"/apps/{chosen_app(app, context)}/cron/{name}"
    Api.here().patch(path, {"paused": paused}, preview=chosen_preview(preview, context))
    output.line(f"{name} is paused" if paused else f"{name} is due again")


def _list(app: str, preview: str | None, json: bool) -> None:
    found = Api.here().get(f"/apps/{app}/cron", preview=preview)
    if json:
        return output.as_json(found)
    output.table(
        ["NAME", "SCHEDULE", "DUE", "LAST", "STATUS", "COMMAND"],
        [
            [job["name"], f"{job['schedule']} {job['timezone']}"]
            + ["paused" if job["paused"] else output.moment(job["due"])]
            + [output.moment(last["created_at"]) if (last := job["last"]) else "-"]
            + ["-" if not last or last["status"] is None else last["status"], job["command"]]
            for job in found
        ],
        f"{app} has no cron jobs: [[cron]] in its hostd.toml makes some",
    )
