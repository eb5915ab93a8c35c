"""`python -m tests.e2e.killed_at WORDS...`: hostd, killed by SIGKILL at a point of its own code.

The point is what the file named by KILLED_AT holds when the code gets there: `MODULE:FUNCTION:before` or `:after`
a call. The file may be written, changed and removed while hostd runs; every function that POINTS names looks for it.
"""

import functools
import importlib
import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

POINTS = (
    "hostd.store.releases:create",
    "hostd.control.rollout:rollout",
    "hostd.control.rollout:_go_live",
    "hostd.control.rollout:drain",
    "hostd.control.launching:run_release_command",
    "hostd.control.keeper:Keeper.publish",
    "hostd.control.keeper:Keeper.let_go",
    "hostd.control.removal:remove_all_of",
    "hostd.engine.local:LocalEngine.start",
    "hostd.engine.local:LocalEngine.freeze",
    "hostd.git.repos:Repositories.create",
    "hostd.git.repos:Repositories.export",
)


def _reached(point: str) -> None:
    wanted = Path(os.environ["KILLED_AT"])
    if wanted.exists() and wanted.read_text() == point:
        os.kill(os.getpid(), signal.SIGKILL)


def _wrapped(point: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **options: Any) -> Any:
            _reached(f"{point}:before")
            result = await function(*args, **options)
            _reached(f"{point}:after")
            return result

        return call_async

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        _reached(f"{point}:before")
        result = function(*args, **options)
        _reached(f"{point}:after")
        return result

    return call


def _arm(point: str) -> None:
    """Put the wrapped function wherever hostd has the function by name."""
    module, _, path = point.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    function = getattr(owner, name)
    wrapped = _wrapped(point, function)
    setattr(owner, name, wrapped)
    for other in [m for key, m in list(sys.modules.items()) if key.startswith("hostd.")]:
        for key, value in list(vars(other).items()):
            if value is function:
                setattr(other, key, wrapped)


def main() -> None:
    """Run the command line with every point armed."""
    importlib.import_module("hostd.wiring")  # all of hostd, so that every name is there to be replaced
    for point in POINTS:
        _arm(point)
    from hostd.cli.main import run

    run()


if __name__ == "__main__":
    main()
