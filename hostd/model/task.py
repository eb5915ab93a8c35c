"""Task: a program that runs to its end in a sandbox, and the directories it is shown."""

from dataclasses import dataclass, field
from pathlib import Path

from hostd.model.image import Image
from hostd.model.instance import Limits


@dataclass(frozen=True, slots=True)
class Bind:
    """A directory of this machine shown inside a task. Only tasks get binds; Instances see their Image."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A program that runs to its end in a sandbox: a build phase, a release command, a one-off.

    With an `image` it sees what an Instance of it sees; `binds` come on top. `network`: outbound, as Instances have.
    """

    tenant: int
    command: tuple[str, ...]
    env: dict[str, str]
    directory: str = "/app"
    image: Image | None = None
    binds: tuple[Bind, ...] = ()
    limits: Limits = field(default_factory=Limits)
    network: bool = True
