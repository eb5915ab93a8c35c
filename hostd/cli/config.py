"""config: the variables an app is given."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, PreviewOption, chosen_app
from hostd.errors import Conflict, Invalid, NotFound
from hostd.model import dotenv
from hostd.model.names import shown

config = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Set, list, compare and copy config variables."
)
MASKED = "(secret)"
GENERATED_LENGTH = 64

PreviewsOption = Annotated[bool, typer.Option("--previews", help="What all previews of the app have.")]
SecretOption = Annotated[
    bool | None, typer.Option("--secret/--plain", help="Never shown again / shown by list (the default).")
]
GenerateOption = Annotated[
    list[str] | None,
    typer.Option(
        "--generate", help="Make a random secret, 64 characters or so many.", metavar="NAME[:LENGTH]"
    ),
]
BuildOption = Annotated[bool, typer.Option("--build", help="Builds see it as well.")]
BuildOnlyOption = Annotated[
    bool, typer.Option("--build-only", help="Builds see it, running processes do not.")
]
RunOnlyOption = Annotated[bool, typer.Option("--run-only", help="Only production's processes see it.")]
ShareOption = Annotated[bool, typer.Option("--with-previews", help="Previews of the app get it as well.")]
Variables = Annotated[
    list[str] | None,
    typer.Argument(
        help="As GREETING=hello; a name alone changes only what options say.", metavar="NAME=VALUE..."
    ),
]


@config.command("list")
def list_config(
    app: AppOption = None,
    preview: PreviewOption = None,
    previews: PreviewsOption = False,
    json: Json = False,
) -> None:
    """List config variables and their values; those of secrets are never shown."""
    found = _read(app, preview, previews)
    if json:
        return output.as_json(found)
    show(found)
    if not found:
        output.remark("no config variables: hostd config set NAME=value")


@config.command("set")
def set_config(  # noqa: PLR0913 (its options)
    variables: Variables = None,
    generate: GenerateOption = None,
    secret: SecretOption = None,
    build: BuildOption = False,
    build_only: BuildOnlyOption = False,
    run_only: RunOnlyOption = False,
    with_previews: ShareOption = False,
    app: AppOption = None,
    preview: PreviewOption = None,
    previews: PreviewsOption = False,
) -> None:
    """Set config variables, and start the app anew with them. Previews have production's only if it says so."""
    scopes = chosen_scopes(build, build_only, run_only, with_previews)
    _change(app, preview, previews, changes(variables or [], generate or [], secret, scopes))


@config.command("unset")
def unset_config(
    names: Annotated[list[str], typer.Argument(help="As GREETING.", metavar="NAME...")],
    app: AppOption = None,
    preview: PreviewOption = None,
    previews: PreviewsOption = False,
) -> None:
    """Unset config variables, and start the app anew without them."""
    _change(app, preview, previews, dict.fromkeys(names))


@config.command("pull")
def pull(
    file: Annotated[Path, typer.Argument(help="Where to write them; - for standard output.")] = Path(".env"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    app: AppOption = None,
    preview: PreviewOption = None,
    previews: PreviewsOption = False,
) -> None:
    """Write config variables to a dotenv file that only you can read. Secrets are left out and named."""
    found = _read(app, preview, previews)
    plain = {name: var["value"] for name, var in found.items() if not var["secret"]}
    secret = [name for name, var in found.items() if var["secret"]]
    note = f"# secrets are not given out: {', '.join(secret)}\n" if secret else ""
    if str(file) == "-":
        sys.stdout.write(note + dotenv.write(plain))
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(file, flags, 0o600), "w", newline="") as opened:
            os.fchmod(opened.fileno(), 0o600)
            opened.write(note + dotenv.write(plain))
    except FileExistsError as error:
        raise Conflict(f"{file} is there already", hint="to replace it: --force") from error
    except OSError as error:
        raise Invalid(f"{file} cannot be written: {error.strerror}") from error
    output.line(f"{file}: {len(plain)} variables" + (f", without {len(secret)} secrets" if secret else ""))


@config.command("import")
def import_file(  # noqa: PLR0913 (its options)
    file: Annotated[Path, typer.Argument(help="A dotenv file, or - for standard input.")],
    secret: SecretOption = None,
    build: BuildOption = False,
    build_only: BuildOnlyOption = False,
    run_only: RunOnlyOption = False,
    with_previews: ShareOption = False,
    app: AppOption = None,
    preview: PreviewOption = None,
    previews: PreviewsOption = False,
) -> None:
    """Set all variables of a dotenv file, and start the app anew with them. Others stay as they are."""
    scopes = chosen_scopes(build, build_only, run_only, with_previews)
    try:
        values = dotenv.parse(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes())
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {file}") from error
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}") from error
    except Invalid as error:
        raise Invalid(f"{file}: {error.message}", hint=error.hint) from error
    if not values:
        raise Invalid(f"{file} names no variable", hint="as: NAME=value")
    _change(app, preview, previews, {name: _wanted(value, secret, scopes) for name, value in values.items()})


@config.command("diff")
def diff(
    first: Annotated[str | None, typer.Option("--from", help="A release.", metavar="vN")] = None,
    second: Annotated[str | None, typer.Option("--to", help="Another one.", metavar="vN")] = None,
    app: AppOption = None,
    preview: PreviewOption = None,
    json: Json = False,
) -> None:
    """Show what differs from production to a preview (-e BRANCH), or between two releases."""
    query = {"first": _number(first), "second": _number(second), "preview": preview}
    found = Api.here().get(f"/apps/{chosen_app(app)}/config/diff", **query)
    if json:
        return output.as_json(found)
    for each in found:
        values = {"-": each["before"], "+": each["after"]}
        marks = {"added": "+", "removed": "-", "changed": "-+"}[each["kind"]]
        if each["before"] is None and each["after"] is None:
            output.line(f"{marks[0] if len(marks) == 1 else '~'} {each['name']}")
        else:
            for mark in marks:
                output.line(f"{mark} {each['name']}={values[mark]}".replace("\n", "\\n"))
    if not found:
        output.line("no difference")


def show(found: Mapping[str, Any]) -> None:
    """Variables as lines; behind a # what is not as usual."""
    for name, var in found.items():
        scopes, source = ",".join(var["scopes"]), var["source"]
        remarks = [scopes] if scopes != "run" else []
        remarks += [f"from {source}"] if source in ("production", "all previews") or " " in source else []
        value = MASKED if var["secret"] else var["value"].replace("\n", "\\n")
        output.line(f"{name}={value}" + (f"  # {'; '.join(remarks)}" if remarks else ""))


def chosen_scopes(build: bool, build_only: bool, run_only: bool, with_previews: bool) -> list[str] | None:
    """The scopes that options name; None if none was given. Raises Invalid."""
    if build + build_only + run_only > 1:
        raise Invalid("--build, --build-only and --run-only exclude each other")
    if not (build or build_only or run_only or with_previews):
        return None
    return ["run"] * (not build_only) + ["build"] * (build or build_only) + ["preview"] * with_previews


def changes(
    variables: Sequence[str], generate: Sequence[str], secret: bool | None, scopes: list[str] | None
) -> dict[str, object]:
    """What the API takes. Raises Invalid for a name without a value, unless options change something about it."""
    wanted: dict[str, object] = {}
    for word in variables:
        name, equals, value = word.partition("=")
        if not equals and secret is None and scopes is None:
            raise Invalid(f"{shown(word)} has no =", hint="as: GREETING=hello")
        wanted[name] = _wanted(value if equals else None, secret, scopes)
    for word in generate:
        name, colon, length = word.partition(":")
        if colon and not re.fullmatch(r"[0-9]{1,4}", length):
            raise Invalid(f"{shown(word)} has no length behind the colon", hint="as: SECRET_KEY:64")
        wanted[name] = {"generate": int(length or GENERATED_LENGTH), "scopes": scopes}
    if not wanted:
        raise Invalid("no config variable was named", hint="hostd config set NAME=value")
    return wanted


def pairs(words: Sequence[str], example: str) -> dict[str, str]:
    """Words with a = as names and values. Raises Invalid."""
    for word in words:
        if "=" not in word:
            raise Invalid(f"{shown(word)} has no =", hint=f"as: {example}")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _wanted(value: str | None, secret: bool | None, scopes: list[str] | None) -> object:
    if secret is None and scopes is None:
        return value
    return {"value": value, "secret": secret, "scopes": scopes}


def _read(app: str | None, preview: str | None, previews: bool) -> Mapping[str, Any]:
    _check_place(preview, previews)
    where = f"/apps/{chosen_app(app)}" + ("/previews/config" if previews else "/config")
    found: Mapping[str, Any] = Api.here().get(where, preview=preview)
    return found


def _change(app: str | None, preview: str | None, previews: bool, wanted: Mapping[str, object]) -> None:
    _check_place(preview, previews)
    path, unset = f"/apps/{chosen_app(app)}", all(value is None for value in wanted.values())
    if previews:
        Api.here().patch(f"{path}/previews/config", wanted)
        has = "is without" if unset else "has"
        return output.line(f"{', '.join(wanted)}: each preview {has} it from its next release on")
    release = Api.here().work("PATCH", f"{path}/config", wanted, output.line, preview=preview)
    with_it, have_it = ("without it", "not have it") if unset else ("with it", "have it")
    done = f"{release['name']} is live {with_it}" if release else f"the next release will {have_it}"
    output.line(f"{', '.join(wanted)}: {done}")


def _check_place(preview: str | None, previews: bool) -> None:
    if preview and previews:
        raise Invalid("--preview is one preview, --previews are all", hint="leave out one of the two")


def _number(release: str | None) -> int | None:
    if release is None:
        return None
    if not re.fullmatch(r"v?[0-9]{1,9}", release):
        raise Invalid(f"{shown(release)} is not a release", hint="as: --from v3 --to v5")
    return int(release.removeprefix("v"))
