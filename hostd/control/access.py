"""Who may do what. The one `authorize` stands in front of the API, git and every stream alike."""

from collections.abc import Mapping
from enum import StrEnum

from hostd.errors import Forbidden, NotFound
from hostd.model.app import App, User
from hostd.model.names import shown


class Action(StrEnum):
    """Everything a User can ask for."""

    SEE_SELF = "see who they are"
    MANAGE_TOKENS = "manage their tokens"
    MANAGE_KEYS = "manage their SSH keys"
    MANAGE_GROUPS = "manage config groups"
    LIST_APPS = "list apps"
    CREATE_APP = "create an app"
    SEE_APP = "see an app"
    READ_LOGS = "read logs"
    READ_CONFIG = "read config"
    CHANGE_CONFIG = "change config"
    SCALE = "scale"
    RUN = "run a command"
    ROLL_BACK = "roll back"
    PIN_RELEASE = "pin a release"
    PAUSE_DEPLOYS = "pause or resume deploys"
    PULL = "pull"
    PUSH = "push"
    PROMOTE = "promote a preview"
    MANAGE_PREVIEWS = "manage previews"
    MANAGE_DOMAINS = "manage domains"
    MANAGE_FORGES = "manage forges"
    CHANGE_APP = "change an app"
    DESTROY_APP = "destroy an app"


class Right(StrEnum):
    """Who has the right to an Action, beside administrators, who have every right."""

    ANYONE = "every user"
    OWNER = "the owner of the app"


RIGHTS: Mapping[Action, Right] = {
    Action.SEE_SELF: Right.ANYONE,
    Action.MANAGE_TOKENS: Right.ANYONE,
    Action.MANAGE_KEYS: Right.ANYONE,
    Action.MANAGE_GROUPS: Right.ANYONE,
    Action.LIST_APPS: Right.ANYONE,
    Action.CREATE_APP: Right.ANYONE,
    Action.SEE_APP: Right.OWNER,
    Action.READ_LOGS: Right.OWNER,
    Action.READ_CONFIG: Right.OWNER,
    Action.CHANGE_CONFIG: Right.OWNER,
    Action.SCALE: Right.OWNER,
    Action.RUN: Right.OWNER,
    Action.ROLL_BACK: Right.OWNER,
    Action.PIN_RELEASE: Right.OWNER,
    Action.PAUSE_DEPLOYS: Right.OWNER,
    Action.PULL: Right.OWNER,
    Action.PUSH: Right.OWNER,
    Action.PROMOTE: Right.OWNER,
    Action.MANAGE_PREVIEWS: Right.OWNER,
    Action.MANAGE_DOMAINS: Right.OWNER,
    Action.MANAGE_FORGES: Right.OWNER,
    Action.CHANGE_APP: Right.OWNER,
    Action.DESTROY_APP: Right.OWNER,
}


def authorize(actor: User, action: Action, app: App | None = None) -> None:
    """Return if `actor` may. Raises NotFound for an App of somebody else, in the words for one that is not there.

    Raises Forbidden for an Action on an App that came without one.
    """
    if RIGHTS[action] is Right.ANYONE:
        return
    if app is None:
        raise Forbidden(f"nobody may {action} without naming the app")
    if not actor.administrator and app.owner_id != actor.id:
        raise no_such_app(app.name)


def no_such_app(name: str) -> NotFound:
    """The one answer for an App that is absent, destroyed or somebody else's."""
    return NotFound(f"there is no app {shown(name)}", hint="your apps: hostd apps list")
