"""keys: which SSH keys are one's own."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.errors import Invalid
from hostd.model.names import shown

keys = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Add, list and remove your SSH keys.")
USUAL = ("id_ed25519.pub", "id_ed25519_sk.pub", "id_ecdsa.pub", "id_ecdsa_sk.pub", "id_rsa.pub")
SIZE_LIMIT = 16 * 1024  # bytes


@keys.command("add")
def add(
    file: Annotated[
        str, typer.Argument(help="A .pub file, or - for standard input; else the first in ~/.ssh.")
    ] = "",
    name: Annotated[str | None, typer.Option(help="What to call it; else its comment.")] = None,
) -> None:
    """Add a public key: git over SSH with it is you."""
    from hostd.model.ssh_key import refuse_private

    text = sys.stdin.read(SIZE_LIMIT) if file == "-" else _read(Path(file).expanduser() if file else _usual())
    refuse_private(text)
    added = Api.here().post("/keys", {"key": text, "name": name})
    output.line(f"added {added['name']}, {added['type']} {added['fingerprint']}")


@keys.command("list")
def list_keys(json: Json = False) -> None:
    """List your SSH keys."""
    found = Api.here().get("/keys")
    if json:
        return output.as_json(found)
    output.table(
        ["ID", "NAME", "TYPE", "FINGERPRINT", "ADDED", "LAST USED"],
        [
            [item["id"], item["name"], item["type"], item["fingerprint"]]
            + [output.moment(item["created_at"]), output.moment(item["last_used_at"])]
            for item in found
        ],
        "no keys yet: hostd keys add",
    )


@keys.command("remove")
def remove(key_id: Annotated[int, typer.Argument(help="Its id, from the list.", min=1)]) -> None:
    """Remove a key: from then on it opens nothing."""
    Api.here().delete(f"/keys/{key_id}")
    output.line(f"key {key_id} is removed")


def _usual() -> Path:
    places = [Path("~/.ssh").expanduser() / name for name in USUAL]
    if found := next((place for place in places if place.exists()), None):
        return found
    raise Invalid(
        "there is no public key in ~/.ssh", hint="make one: ssh-keygen -t ed25519; or name the file"
    )


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(SIZE_LIMIT).decode(errors="replace")
    except OSError as error:
        raise Invalid(f"{shown(str(path))} cannot be read: {error.strerror}") from error
