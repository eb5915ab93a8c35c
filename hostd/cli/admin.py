"""For who is root on the machine hostd runs on: these work on its data directly, with or without a running hostd."""

import typer

from hostd.cli import output
from hostd.settings import Settings, process_environment

admin = typer.Typer(help="For the operator, on the machine itself.", no_args_is_help=True)


@admin.command()
def token() -> None:
    """Make another administrator token and print it."""
    from hostd import wiring

    output.line(wiring.administrator_token(Settings.read(process_environment())))


@admin.command()
def stop() -> None:
    """Stop hostd, its router and every app. `hostd serve` starts all of them again."""
    from hostd import wiring

    wiring.stop(Settings.read(process_environment()), output.line)
