"""The command line as a whole, and its edge: failures become words on stderr and an exit code."""

import logging
import sys

import typer

from hostd.cli import (
    account,
    apps,
    autoscale,
    canary,
    certs,
    config,
    cron,
    deploys,
    domains,
    forges,
    groups,
    keys,
    machine,
    output,
    previews,
    processes,
    releases,
    runs,
    traffic,
)
from hostd.errors import HostdError

app = typer.Typer(
    name="hostd",
    help="Push with git, and the code is live.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: drawing it with rich would cost 200 ms
)
app.command()(account.login)
app.command()(account.logout)
app.command()(account.whoami)
app.add_typer(apps.apps, name="apps")
processes.ps.command("autoscale")(autoscale.autoscale)
app.add_typer(processes.ps, name="ps")
app.command()(processes.logs)
app.command()(traffic.traffic)
app.add_typer(config.config, name="config")
app.add_typer(groups.groups, name="groups")
app.add_typer(releases.releases, name="releases")
app.command()(releases.rollback)
app.command()(releases.promote)
app.add_typer(deploys.deploys, name="deploys")
app.add_typer(canary.canary, name="canary")
app.add_typer(previews.previews, name="previews")
app.add_typer(domains.domains, name="domains")
app.add_typer(forges.forges, name="forges")
app.add_typer(certs.certs, name="certs")
app.command("open")(apps.open_app)
app.add_typer(apps.git_commands, name="git")
app.add_typer(account.tokens, name="tokens")
app.add_typer(keys.keys, name="keys")
app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(runs.run)
app.add_typer(runs.runs, name="runs")
app.add_typer(cron.cron, name="cron")
app.command()(machine.doctor)
app.command()(machine.serve)
app.add_typer(machine.admin, name="admin")
app.command()(machine.version)


def run() -> None:
    """Run one command and end the process."""
    try:
        app()
    except HostdError as error:
        output.fail(error)
    except Exception:
        logging.getLogger(__name__).exception("a fault of hostd's own")
        sys.exit(HostdError.exit_code)
