"""Process types that are not to overlap: those of the Release before end before the new ones start.

They are started again if the new Release does not make it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager

from hostd.control.keeper import Keeper
from hostd.control.launching import Slot
from hostd.control.platform import Platform
from hostd.control.stopping import stop_all
from hostd.control.turns import to_the_end
from hostd.model.app import Environment
from hostd.model.release import Release
from hostd.model.terms import terms_of
from hostd.transcript import Transcript

MakeWay = Callable[[Collection[str]], Awaitable[None]]


def without_overlap(release: Release, slots: Sequence[Slot]) -> set[str]:
    """The process types among `slots` that ask to be replaced without overlap."""
    return {name for name, _ in slots if terms_of(release.image.labels, name).overlap == "no"}


@asynccontextmanager
async def succession(
    platform: Platform, environment: Environment, transcript: Transcript
) -> AsyncIterator[MakeWay]:
    """Gives what ends the live Release's Instances of some process types, for a rollout within.

    If that fails, they are started again. The caller holds the Environment's lock.
    """
    former = platform.keepers.get(environment.id)
    ended: list[Slot] = []

    async def make_way(processes: Collection[str]) -> None:
        slots = [slot for slot in former.places if slot[0] in processes] if former else []
        if former and slots:
            transcript.detail(f"stopping {_names(slots)} of {former.release.name} first: no overlap")
            ended.extend(slots)
            await to_the_end(_end(platform, former, slots))

    try:
        yield make_way
    except BaseException:
        if former and ended and platform.keepers.get(environment.id) is former:
            transcript.detail(f"starting {_names(ended)} of {former.release.name} again")
            former.keep(dict.fromkeys(ended), asleep=former.asleep)
        raise


async def _end(platform: Platform, former: Keeper, slots: Sequence[Slot]) -> None:
    await stop_all(platform, await former.let_go(slots))


def _names(slots: Sequence[Slot]) -> str:
    return ", ".join(sorted({name for name, _ in slots}))
