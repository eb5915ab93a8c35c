"""Pausing deploys: a push that would deploy is refused before anything is built, until somebody resumes.

A Rollback pauses them, or the next push would bring back what was taken back. What a person does on purpose, as
promote, a change of config or scale, goes on.
"""

from sqlalchemy import Connection

from hostd.control.access import Action, authorize
from hostd.control.platform import Platform
from hostd.errors import Conflict
from hostd.model.app import App, Environment, User
from hostd.model.names import shown
from hostd.model.pause import Pause, check_reason
from hostd.store import environments, pauses

RESUME = "resume"  # the push option


async def pause_of(platform: Platform, environment: Environment) -> Pause | None:
    """Why nothing that is pushed to `environment` is deployed now; None if it is."""
    return await platform.db.read(pauses.of, environment.id)


async def pause_deploys(
    platform: Platform, app: App, environment: Environment, actor: User, reason: str
) -> Pause:
    """Refuse pushes from now on; one that is being deployed goes on. `reason` is for those who meet the Pause.

    Raises Invalid, NotFound.
    """
    authorize(actor, Action.PAUSE_DEPLOYS, app)
    pause = Pause(actor.name, check_reason(reason), platform.now())

    def begin(connection: Connection) -> None:
        environments.by_id(connection, environment.id)  # it may be gone by now
        pauses.begin(connection, environment.id, pause)

    await platform.db.call(begin)
    return pause


async def resume_deploys(platform: Platform, app: App, environment: Environment, actor: User) -> None:
    """Deploy what is pushed from now on. What was refused has to be pushed again."""
    authorize(actor, Action.PAUSE_DEPLOYS, app)
    await platform.db.call(pauses.end, environment.id)


async def check_not_paused(platform: Platform, environment: Environment) -> None:
    """Raises Conflict while deploys of `environment` are paused."""
    if pause := await pause_of(platform, environment):
        of = f"the preview of {shown(environment.branch)}" if environment.preview else environment.app
        raise Conflict(f"deploys of {of} are paused {pause}", hint=how_to_resume(environment))


def how_to_resume(environment: Environment) -> str:
    """What a person can type."""
    option = f" -e {environment.name}" if environment.preview else ""
    return f"git push -o {RESUME}, or: hostd deploys resume{option}"
