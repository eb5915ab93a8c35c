"""What people see: tables, lines, JSON, failures, and a sign of life when something takes longer than a second."""

import json
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from hostd.errors import HostdError
from hostd.settings import process_environment

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\[[0-9;]*m)")


def as_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=2))


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], empty: str = "") -> None:
    """Rows under headings; `empty` is remarked if there are none.

    What is no terminal gets every cell in full; nothing is wrapped or cut there.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 10_000, no_color=not coloured(sys.stdout))
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        drawn.add_column(heading, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(_visible(str(cell)).replace("\n", "\\n")) for cell in row))
    with console.capture() as captured:
        console.print(drawn)
    print("\n".join(row.rstrip() for row in captured.get().splitlines()))
    if empty and not rows:
        remark(empty)


def line(text: str) -> None:
    """One line of a log or Transcript at once; colours only where they are wanted, no other controls."""
    shown = _visible(text)
    print(shown if coloured(sys.stdout) else _COLOUR.sub("", shown), flush=True)


def remark(text: str) -> None:
    """One line for the person at the terminal; on stderr, so that what reads stdout does not meet it."""
    print(_visible(text), file=sys.stderr)


def facts(pairs: Sequence[tuple[str, object]]) -> None:
    """Names and values, one pair a line, values aligned."""
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        line(f"{name + ':':<{width + 1}} {'' if value is None else value}".rstrip())


def fail(error: HostdError) -> NoReturn:
    """Say what happened and what to do, on stderr; end with the error's exit code."""
    mark, end = ("\x1b[31m !", "\x1b[0m") if coloured(sys.stderr) else (" !", "")
    print(f"{mark}     {_visible(error.message)}{end}", file=sys.stderr)
    for hint in error.hint.splitlines():
        print(f"{mark}{end}     {_visible(hint)}", file=sys.stderr)
    sys.exit(error.exit_code)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """A spinner on a terminal's stderr, if what is inside takes longer than a second."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    status = Console(stderr=True, no_color=not coloured(sys.stderr)).status(text)
    timer = threading.Timer(1.0, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        status.stop()


def coloured(stream: Any) -> bool:
    """Whether colours are wanted there: a terminal, and no NO_COLOR (no-color.org)."""
    return bool(stream.isatty()) and not process_environment().get("NO_COLOR")


def _visible(text: str) -> str:
    """Text from elsewhere, unable to steer the terminal."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def moment(value: str | None) -> str:
    """A time of the API's for a table: UTC, to the second; "-" for none."""
    return "-" if value is None else value[:19].replace("T", " ")


def json_line(value: Any) -> None:
    """One JSON document on a line of its own, at once."""
    print(json.dumps(value), flush=True)
