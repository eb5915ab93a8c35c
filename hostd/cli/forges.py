"""forges: deploy what is pushed to GitHub, GitLab or Gitea."""

from typing import Annotated, Any

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, chosen_app, remember

forges = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Deploy what is pushed to a repository at GitHub, GitLab or Gitea.",
)
DeliveryId = Annotated[int, typer.Argument(help="Its id, from the list.", min=1)]
WHERE = {
    "github": "Settings > Webhooks > Add webhook: content type application/json, events pushes and pull requests",
    "gitlab": "Settings > Webhooks: the secret as secret token, triggers push and merge request events",
    "gitea": "Settings > Webhooks > Add webhook > Gitea: events push, delete and pull request",
}


@forges.callback()
def group(context: typer.Context, app: AppOption = None) -> None:
    """Deploy what is pushed to a repository at GitHub, GitLab or Gitea."""
    remember(context, app)


@forges.command("connect")
def connect(
    context: typer.Context,
    repository: Annotated[str, typer.Option(help="Its URL, as https://github.com/me/shop.git.")],
    kind: Annotated[str, typer.Option(help="github, gitlab or gitea (Forgejo too).")],
    token: Annotated[
        str,
        typer.Option(
            help="To fetch from a private repository and to set commit statuses; - asks for it.",
            metavar="TOKEN",
        ),
    ] = "",
    api: Annotated[str, typer.Option(help="The base URL of its API, if it is not where it usually is.")] = "",
    app: AppOption = None,
) -> None:
    """Follow a repository: prints the webhook to enter there, with its secret, this once."""
    if token == "-":  # noqa: S105 (asked for)
        token = typer.prompt("Token", hide_input=True)
    wanted = {"repository": repository, "kind": kind, "token": token, "api": api}
    made = Api.here().post(f"/apps/{chosen_app(app, context)}/forge", wanted)
    output.line(f"enter this webhook at {repository}")
    output.line(f"({WHERE[kind]})")
    output.facts([("URL", made["webhook"]), ("secret, shown only now", made["secret"])])


@forges.command("show")
def show(context: typer.Context, app: AppOption = None, json: Json = False) -> None:
    """Show which repository the app follows."""
    found = Api.here().get(f"/apps/{chosen_app(app, context)}/forge")
    if json:
        return output.as_json(found)
    output.facts(
        [
            ("repository", found["repository"]),
            ("kind", found["kind"]),
            ("webhook", found["webhook"]),
            ("statuses", found["api"] if found["has_token"] else "not set: there is no token"),
            ("since", output.moment(found["created_at"])),
        ]
    )


@forges.command("disconnect")
def disconnect(context: typer.Context, app: AppOption = None) -> None:
    """Follow the repository no more. What runs stays."""
    chosen = chosen_app(app, context)
    Api.here().delete(f"/apps/{chosen}/forge")
    output.line(f"{chosen} follows no repository now; remove the webhook there too")


@forges.command("deliveries")
def deliveries(context: typer.Context, app: AppOption = None, json: Json = False) -> None:
    """List the last 100 deliveries, and what became of them."""
    _show(chosen_app(app, context), json, waiting=False)


@forges.command("pending")
def pending(context: typer.Context, app: AppOption = None, json: Json = False) -> None:
    """List pull requests of forks that wait for approval."""
    _show(chosen_app(app, context), json, waiting=True)


@forges.command("approve")
def approve(context: typer.Context, delivery: DeliveryId, app: AppOption = None) -> None:
    """Deploy a fork's commit as a preview, without config variables. Look at it first: its code runs here."""
    path = f"/apps/{chosen_app(app, context)}/forge/deliveries/{delivery}/approve"
    approved = Api.here().post(path, {})
    output.line(f"{approved['branch']} ({approved['commit'][:7]}) is queued")


@forges.command("redeliver")
def redeliver(context: typer.Context, delivery: DeliveryId, app: AppOption = None) -> None:
    """Work on a delivery once more."""
    path = f"/apps/{chosen_app(app, context)}/forge/deliveries/{delivery}/redeliver"
    output.line(f"{Api.here().post(path, {})['branch']} is queued")


@forges.command("pull")
def pull(
    context: typer.Context,
    branch: Annotated[str, typer.Argument(help="The branch at the forge.")],
    app: AppOption = None,
) -> None:
    """Deploy a branch as it is at the forge now."""
    Api.here().work("POST", f"/apps/{chosen_app(app, context)}/forge/pull", {"branch": branch}, output.line)


def _show(app: str, json: bool, *, waiting: bool) -> None:
    found = Api.here().get(f"/apps/{app}/forge/deliveries", waiting=waiting)
    if json:
        return output.as_json(found)
    output.table(
        ["ID", "EVENT", "BRANCH", "COMMIT", "STATE", "RELEASE", "RECEIVED", "WHY"],
        [_row(item) for item in found],
    )


def _row(item: dict[str, Any]) -> list[object]:
    what = [item["id"], item["what"], item["branch"] or "-", item["commit"][:7] or "-"]
    return what + [item["state"], item["release"] or "-", output.moment(item["received_at"]), item["reason"]]
