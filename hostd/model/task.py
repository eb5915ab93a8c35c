"""Task: a program that runs to its end in a sandbox, the directories it is shown, and who may sit at it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

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


@dataclass(frozen=True, slots=True)
class Size:
    """Of a terminal, in characters, each 1 to 65535."""

    columns: int
    rows: int


class Console(Protocol):
    """Whoever sits at a task. Both ways wait, so that neither side runs ahead of the other.

    What `take` and `give` raise, when they have gone, ends the task and comes out of `Engine.converse`.
    """

    @property
    def size(self) -> Size | None:
        """That of their terminal at the start; None: no terminal, but pipes."""
        ...

    async def take(self) -> bytes | Size:
        """What they typed, a new size of their terminal, or b"" at the end of their input."""
        ...

    async def give(self, data: bytes, is_error: bool) -> None:
        """Show what the task printed; `is_error`: on stderr. A terminal does not tell the two apart."""
        ...
