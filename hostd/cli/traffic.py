"""traffic: what was asked of an app of late."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from hostd.cli import output
from hostd.cli.account import Json
from hostd.cli.api import Api
from hostd.cli.repository import AppOption, PreviewOption, chosen_app

CLASSES = ("2xx", "3xx", "4xx", "5xx")


def traffic(
    app: AppOption = None,
    preview: PreviewOption = None,
    seconds: Annotated[int, typer.Option("--seconds", help="How far back.", min=1, max=300)] = 60,
    json: Json = False,
) -> None:
    """Show requests, statuses and latencies of the last minute, by release."""
    found = Api.here().get(f"/apps/{chosen_app(app)}/traffic", preview=preview, seconds=seconds)
    if json:
        return output.as_json(found)
    output.table(
        ["RELEASE", "REQUESTS", "PER SECOND", *CLASSES, "P50", "P95", "P99"],
        [[name, *_cells(shown)] for name, shown in [*found["releases"].items(), ("all", found)]],
    )
    output.line(f"in the last {found['seconds']} s; {found['under_way']} under way now")


def _cells(shown: Mapping[str, Any]) -> list[object]:
    counts = [shown["statuses"].get(name, 0) for name in CLASSES]
    latencies = [_latency(shown[name]) for name in ("p50_ms", "p95_ms", "p99_ms")]
    return [shown["requests"], f"{shown['per_second']:.1f}", *counts, *latencies]


def _latency(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"
