"""ps autoscale: how many web instances there are by themselves."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, PreviewOption, chosen_app, chosen_preview
from hostd.errors import Invalid
from hostd.model.names import shown


def autoscale(  # noqa: PLR0913 (its options)
    context: typer.Context,
    process: Annotated[str, typer.Argument(help="web; other processes get no requests.")] = "web",
    least: Annotated[int | None, typer.Option("--min", help="The fewest, 1 at first.")] = None,
    most: Annotated[int | None, typer.Option("--max", help="The most.")] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", help="Requests at once for each instance, 20 at first.")
    ] = None,
    p95: Annotated[
        str | None,
        typer.Option("--p95", help="Time within which 95 % are to be answered, as 500ms.", metavar="TIME"),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Scale by hand again.")] = False,
    app: AppOption = None,
    preview: PreviewOption = None,
    json: Json = False,
) -> None:
    """Show or set how web instances become more and fewer by themselves. `ps scale web=N` ends it."""
    if process != "web":
        raise Invalid(f"{shown(process)} cannot be autoscaled: only web gets requests")
    path, chosen = f"/apps/{chosen_app(app, context)}/autoscale", chosen_preview(preview, context)
    given = {"min": least, "max": most, "concurrency": concurrency, "p95_ms": _milliseconds(p95)}
    changes = {name: value for name, value in given.items() if value is not None}
    if off and changes:
        raise Invalid("--off goes without other options")
    if off:
        Api.here().delete(path, preview=chosen)
    elif changes:
        Api.here().patch(path, changes, preview=chosen)
    found = Api.here().get(path, preview=chosen)
    if json:
        return output.as_json(found)
    output.line(_described(found))


def _described(rule: Mapping[str, Any] | None) -> str:
    if rule is None:
        return "web is not autoscaled"
    latency = f", 95 % answered within {rule['p95_ms']} ms" if rule["p95_ms"] else ""
    return (
        f"web: {rule['min']} to {rule['max']} instances, {rule['concurrency']} requests at once each{latency}"
    )


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(ms|s)", text)
    if not found:
        raise Invalid(f"{shown(text)} is no time", hint="as: --p95 500ms, or --p95 1.5s")
    return round(float(found[1]) * (1000 if found[2] == "s" else 1))
