"""What works on this machine itself, without a server: serve, doctor and admin."""

import asyncio
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.errors import Unavailable
from hostd.settings import Settings, process_environment

admin = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="What needs root on hostd's own machine."
)


def serve() -> None:
    """Run hostd. Its settings are HOSTD_ variables: see the README."""
    from hostd import wiring

    wiring.serve(Settings.read(process_environment()), output.line)


@admin.command("token")
def administrator_token() -> None:
    """Make and print another token for the first administrator, on the machine of hostd itself."""
    from hostd import wiring

    output.line(wiring.administrator_token(Settings.read(process_environment())))


@admin.command("stop")
def stop() -> None:
    """Stop hostd, its router and every app. `hostd serve` starts them again."""
    from hostd import wiring

    wiring.stop(Settings.read(process_environment()), output.line)


@admin.command("rotate-key")
def rotate_key() -> None:
    """Encrypt all secrets anew with a new key, and forget the old one. hostd must not run; apps and router may."""
    from hostd import wiring

    count = wiring.rotate_key(Settings.read(process_environment()))
    output.line(f"{count} secrets are encrypted with a new key; backups made before need the old one")


def doctor(json: Json = False) -> None:
    """Check that this machine has what hostd needs."""
    from hostd.control.doctor import examine

    settings = Settings.read(process_environment())
    ports = {
        "HOSTD_HTTP_PORT": ("0.0.0.0", settings.http_port),  # noqa: S104 (where the router listens)
        "HOSTD_LISTEN": (settings.listen_address, settings.listen_port),
    }
    if settings.ssh_port:
        ports["HOSTD_SSH_LISTEN"] = (settings.ssh_address, settings.ssh_port)
    if settings.https_port:
        ports["HOSTD_HTTPS_PORT"] = ("0.0.0.0", settings.https_port)  # noqa: S104
    now = datetime.fromtimestamp(time.time(), UTC)
    hook = settings.acme.dns_hook if settings.acme else None
    checks = asyncio.run(examine(settings.data, ports, now, hook))
    missing = [check for check in checks if not check.ok]
    if json:
        output.as_json([asdict(check) for check in checks])
    else:
        output.table(
            ["", "CHECK", "FOUND", "TO MEND IT"],
            [
                ["ok" if check.ok else "!", check.name, check.found, "" if check.ok else check.fix]
                for check in checks
            ],
        )
    if missing:
        names = ", ".join(check.name for check in missing)
        raise Unavailable(
            f"this machine is not ready: {names}", hint="\n".join(check.fix for check in missing)
        )


def version(json: Json = False) -> None:
    """Show the version."""
    number = metadata.version("hostd")
    if json:
        return output.as_json({"version": number})
    output.line(f"hostd {number}")
