"""How many Instances of each ProcessType run, and what runs now."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from hostd.control.access import Action, authorize
from hostd.control.keeper import Keeper
from hostd.control.launching import RELEASE_COMMAND, Slot, slots_of
from hostd.control.platform import Platform
from hostd.control.rollout import start_all
from hostd.control.routing import WEB
from hostd.control.stopping import drain, kill_all
from hostd.control.turns import to_the_end, turn
from hostd.errors import Conflict, Invalid, LimitExceeded
from hostd.model.app import App, Environment, User
from hostd.model.instance import Instance, ProcessStatus
from hostd.store import autoscale
from hostd.store import formation as formations
from hostd.transcript import Transcript

QUANTITY_LIMIT = 100
TOTAL_LIMIT = 200  # Instances of an Environment


async def scale(
    platform: Platform,
    app: App,
    environment: Environment,
    actor: User,
    formation: Mapping[str, int],
    transcript: Transcript,
) -> Mapping[str, int]:
    """`apply_formation`, for those who may. Whoever scales web by hand ends its autoscaling."""
    authorize(actor, Action.SCALE, app)
    quantities = await apply_formation(platform, environment, formation, transcript)
    if WEB in formation and await platform.db.call(autoscale.remove, environment.id):
        transcript.step(
            "web is no longer autoscaled; if it should be: hostd ps autoscale web --min 1 --max N"
        )
    return quantities


async def apply_formation(
    platform: Platform, environment: Environment, changes: Mapping[str, int], transcript: Transcript
) -> Mapping[str, int]:
    """Set the quantities in `changes` (0 to QUANTITY_LIMIT); returns all. What is too much is drained, then stopped.

    An Environment that sleeps is woken first, unless what sleeps is to be gone. Raises Invalid for an
    unknown process type or quantity, LimitExceeded past TOTAL_LIMIT, Conflict before the first push, RolloutFailed,
    Unavailable; then all is as before.
    """
    async with turn(platform, environment, transcript):
        keeper = platform.keepers.get(environment.id)
        if keeper is None:
            raise Conflict("nothing is deployed yet", hint="push first: git push hostd main")
        _check(keeper, changes)
        before = await platform.db.read(formations.of, environment.id)
        wanted = slots_of(keeper.release, {**before, **changes})
        if len(wanted) > max(TOTAL_LIMIT, len(keeper.places)):
            raise LimitExceeded(f"that makes {len(wanted)} instances; an app may have {TOTAL_LIMIT} in all")
        if any(quantity and keeper.sleeps(process) for process, quantity in changes.items()):
            await keeper.wake()
        missing = [slot for slot in wanted if slot not in keeper.places]
        started = await start_all(platform, environment, keeper.release, missing, transcript)
        transcript.commit()
        await to_the_end(_switch(platform, keeper, changes, wanted, started))
        return _counts(keeper, wanted)


async def _switch(
    platform: Platform,
    keeper: Keeper,
    changes: Mapping[str, int],
    wanted: Sequence[Slot],
    started: Mapping[Slot, Instance],
) -> None:
    try:
        await platform.db.call(_store, keeper.environment.id, changes)
    except BaseException:
        await kill_all(platform, list(started.values()))
        raise
    keeper.keep(started)
    leaving = await keeper.let_go([slot for slot in keeper.places if slot not in wanted])
    try:
        await keeper.publish()
    finally:
        platform.later(drain(platform, leaving))


def processes_of(platform: Platform, environment: Environment) -> Sequence[ProcessStatus]:
    """What runs for an Environment, web first."""
    keeper = platform.keepers.get(environment.id)
    if keeper is None:
        return []
    return [
        ProcessStatus(
            process=process,
            instance_id=place.instance.id if place.instance else "",
            state=place.state,
            since=place.since,
            release=keeper.release.name,
            command=_command(keeper, process),
            restarts=place.restarts,
            endpoint=str(place.instance.endpoint) if place.instance else "",
        )
        for (process, _), place in sorted(
            keeper.places.items(), key=lambda item: (item[0][0] != "web", item[0])
        )
    ]


def _check(keeper: Keeper, formation: Mapping[str, int]) -> None:
    known = [process.name for process in keeper.release.image.processes if process.name != RELEASE_COMMAND]
    for name, quantity in formation.items():
        if name not in known:
            has = ", ".join(known) or "none: the router serves its files"
            raise Invalid(f"there is no process type {name[:80]!a}; this release has {has}")
        if not 0 <= quantity <= QUANTITY_LIMIT:
            raise Invalid(f"{name}={quantity} is out of range: 0 to {QUANTITY_LIMIT}", hint=f"as: {name}=2")


def _counts(keeper: Keeper, wanted: Sequence[tuple[str, int]]) -> Mapping[str, int]:
    names = [process.name for process in keeper.release.image.processes if process.name != RELEASE_COMMAND]
    return {name: sum(1 for process, _ in wanted if process == name) for name in names}


def _command(keeper: Keeper, name: str) -> str:
    process = keeper.release.image.process(name)
    return " ".join(process.command) if process else ""


def _store(connection: Connection, environment_id: int, formation: Mapping[str, int]) -> None:
    for process, quantity in formation.items():
        formations.set(connection, environment_id, process, quantity)
