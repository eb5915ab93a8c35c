"""The gate in front of every route: who is asking, for which App, and whether POLICY lets them.

A route without a row in POLICY answers nobody; a test finds it before a person does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated

from fastapi import Depends, Query, Request, WebSocket
from fastapi.requests import HTTPConnection
from fastapi.security import HTTPBearer

from hostd.control.access import Action, authorize
from hostd.control.apps import find_app
from hostd.control.logs import LogBook
from hostd.control.platform import Platform
from hostd.control.previews import environment_of
from hostd.errors import Forbidden
from hostd.http.auth import Door
from hostd.model.app import App, Environment, User
from hostd.model.names import shown
from hostd.model.push import NAME_LIMIT


class Open(Enum):
    """Routes that the gate lets everybody through to."""

    PUBLIC = "says nothing that is anybody's"
    OWN_CHECK = "checks who asks itself: git needs answers of its own kind, webhooks have signatures"


WEBSOCKET = "WEBSOCKET"  # where POLICY has the method of other routes
POLICY: Mapping[tuple[str, str], Action | Open] = {
    ("GET", "/healthz"): Open.PUBLIC,
    ("GET", "/openapi.json"): Open.PUBLIC,
    ("GET", "/{name}.git/info/refs"): Open.OWN_CHECK,
    ("POST", "/{name}.git/git-upload-pack"): Open.OWN_CHECK,
    ("POST", "/{name}.git/git-receive-pack"): Open.OWN_CHECK,
    ("GET", "/{name}.git/info/lfs/{rest:path}"): Open.OWN_CHECK,
    ("POST", "/{name}.git/info/lfs/{rest:path}"): Open.OWN_CHECK,
    ("PUT", "/{name}.git/info/lfs/{rest:path}"): Open.OWN_CHECK,
    ("GET", "/api/v1/user"): Action.SEE_SELF,
    ("GET", "/api/v1/tokens"): Action.MANAGE_TOKENS,
    ("POST", "/api/v1/tokens"): Action.MANAGE_TOKENS,
    ("DELETE", "/api/v1/tokens/{token_id}"): Action.MANAGE_TOKENS,
    ("GET", "/api/v1/keys"): Action.MANAGE_KEYS,
    ("POST", "/api/v1/keys"): Action.MANAGE_KEYS,
    ("DELETE", "/api/v1/keys/{key_id}"): Action.MANAGE_KEYS,
    ("GET", "/api/v1/apps"): Action.LIST_APPS,
    ("POST", "/api/v1/apps"): Action.CREATE_APP,
    ("GET", "/api/v1/apps/{app}"): Action.SEE_APP,
    ("PATCH", "/api/v1/apps/{app}"): Action.CHANGE_APP,
    ("DELETE", "/api/v1/apps/{app}"): Action.DESTROY_APP,
    ("GET", "/api/v1/apps/{app}/releases"): Action.SEE_APP,
    ("GET", "/api/v1/apps/{app}/releases/{number}"): Action.SEE_APP,
    ("PATCH", "/api/v1/apps/{app}/releases/{number}"): Action.PIN_RELEASE,
    ("POST", "/api/v1/apps/{app}/rollback"): Action.ROLL_BACK,
    ("GET", "/api/v1/apps/{app}/deploys"): Action.SEE_APP,
    ("PATCH", "/api/v1/apps/{app}/deploys"): Action.PAUSE_DEPLOYS,
    ("GET", "/api/v1/apps/{app}/builds"): Action.SEE_APP,
    ("GET", "/api/v1/apps/{app}/builds/{build_id}"): Action.SEE_APP,
    ("GET", "/api/v1/apps/{app}/processes"): Action.SEE_APP,
    ("PATCH", "/api/v1/apps/{app}/formation"): Action.SCALE,
    ("GET", "/api/v1/apps/{app}/traffic"): Action.SEE_APP,
    ("GET", "/api/v1/apps/{app}/autoscale"): Action.SEE_APP,
    ("PATCH", "/api/v1/apps/{app}/autoscale"): Action.SCALE,
    ("DELETE", "/api/v1/apps/{app}/autoscale"): Action.SCALE,
    ("GET", "/api/v1/apps/{app}/canary"): Action.SEE_APP,
    ("PATCH", "/api/v1/apps/{app}/canary"): Action.PUSH,
    ("GET", "/api/v1/apps/{app}/sleep"): Action.SEE_APP,
    ("PATCH", "/api/v1/apps/{app}/sleep"): Action.SCALE,
    ("GET", "/api/v1/apps/{app}/cron"): Action.SEE_APP,
    ("POST", "/api/v1/apps/{app}/cron/{name}/run"): Action.RUN,
    ("PATCH", "/api/v1/apps/{app}/cron/{name}"): Action.CHANGE_APP,
    ("GET", "/api/v1/apps/{app}/runs"): Action.SEE_APP,
    ("POST", "/api/v1/apps/{app}/runs"): Action.RUN,
    ("GET", "/api/v1/apps/{app}/runs/{run_id}"): Action.READ_LOGS,
    ("DELETE", "/api/v1/apps/{app}/runs/{run_id}"): Action.RUN,
    (WEBSOCKET, "/api/v1/apps/{app}/run"): Action.RUN,
    ("GET", "/api/v1/apps/{app}/config"): Action.READ_CONFIG,
    ("PATCH", "/api/v1/apps/{app}/config"): Action.CHANGE_CONFIG,
    ("GET", "/api/v1/apps/{app}/config/diff"): Action.READ_CONFIG,
    ("PUT", "/api/v1/apps/{app}/groups/{group}"): Action.CHANGE_CONFIG,
    ("DELETE", "/api/v1/apps/{app}/groups/{group}"): Action.CHANGE_CONFIG,
    ("GET", "/api/v1/groups"): Action.MANAGE_GROUPS,
    ("POST", "/api/v1/groups"): Action.MANAGE_GROUPS,
    ("GET", "/api/v1/groups/{group}"): Action.MANAGE_GROUPS,
    ("PATCH", "/api/v1/groups/{group}"): Action.MANAGE_GROUPS,
    ("DELETE", "/api/v1/groups/{group}"): Action.MANAGE_GROUPS,
    ("GET", "/api/v1/apps/{app}/logs"): Action.READ_LOGS,
    ("GET", "/api/v1/apps/{app}/previews"): Action.SEE_APP,
    ("POST", "/api/v1/apps/{app}/previews"): Action.PUSH,
    ("DELETE", "/api/v1/apps/{app}/previews"): Action.MANAGE_PREVIEWS,
    ("GET", "/api/v1/apps/{app}/previews/settings"): Action.SEE_APP,
    ("PATCH", "/api/v1/apps/{app}/previews/settings"): Action.MANAGE_PREVIEWS,
    ("GET", "/api/v1/apps/{app}/previews/config"): Action.READ_CONFIG,
    ("PATCH", "/api/v1/apps/{app}/previews/config"): Action.CHANGE_CONFIG,
    ("GET", "/api/v1/apps/{app}/domains"): Action.SEE_APP,
    ("POST", "/api/v1/apps/{app}/domains"): Action.MANAGE_DOMAINS,
    ("POST", "/api/v1/apps/{app}/domains/{domain}/check"): Action.MANAGE_DOMAINS,
    ("DELETE", "/api/v1/apps/{app}/domains/{domain}"): Action.MANAGE_DOMAINS,
    ("GET", "/api/v1/apps/{app}/certificates"): Action.SEE_APP,
    ("PUT", "/api/v1/apps/{app}/certificates/{host}"): Action.MANAGE_DOMAINS,
    ("DELETE", "/api/v1/apps/{app}/certificates/{host}"): Action.MANAGE_DOMAINS,
    ("GET", "/api/v1/apps/{app}/tls"): Action.SEE_APP,
    ("PATCH", "/api/v1/apps/{app}/tls"): Action.MANAGE_DOMAINS,
    ("POST", "/api/v1/apps/{app}/promote"): Action.PROMOTE,
    ("GET", "/api/v1/apps/{app}/forge"): Action.SEE_APP,
    ("POST", "/api/v1/apps/{app}/forge"): Action.MANAGE_FORGES,
    ("DELETE", "/api/v1/apps/{app}/forge"): Action.MANAGE_FORGES,
    ("GET", "/api/v1/apps/{app}/forge/deliveries"): Action.SEE_APP,
    ("POST", "/api/v1/apps/{app}/forge/deliveries/{delivery_id}/approve"): Action.PUSH,
    ("POST", "/api/v1/apps/{app}/forge/deliveries/{delivery_id}/redeliver"): Action.PUSH,
    ("POST", "/api/v1/apps/{app}/forge/pull"): Action.PUSH,
    ("POST", "/webhooks/forge/{forge_id}"): Open.OWN_CHECK,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who came through the gate, and the App they asked for, if the path names one."""

    user: User
    app: App | None


async def pass_gate(
    request: Request, _documented: Annotated[object, Depends(HTTPBearer(auto_error=False))]
) -> Caller:
    """Raises Unauthorized, RateLimited, NotFound, and Forbidden for a route that nobody has decided about."""
    return await _pass(request, request.method)


async def pass_socket_gate(websocket: WebSocket) -> Caller:
    """The same for a WebSocket. Pages of other origins are sent away: browsers connect wherever a page tells them."""
    origin = websocket.headers.get("origin")
    if origin is not None and origin != platform(websocket).names.public_url:
        raise Forbidden(f"a page of {shown(origin)} may not do this")
    return await _pass(websocket, WEBSOCKET)


async def _pass(connection: HTTPConnection, method: str) -> Caller:
    row = POLICY.get((method, connection.scope["route"].path))
    if not isinstance(row, Action):
        raise Forbidden("hostd has no rule for who may do this")
    address = connection.client.host if connection.client else ""
    user = await door(connection).user(connection.headers.get("authorization"), address)
    name = connection.path_params.get("app")
    if name is None:
        authorize(user, row)
        return Caller(user, None)
    return Caller(user, await find_app(platform(connection), user, row, name))


def platform(connection: HTTPConnection) -> Platform:
    """The Platform this server works with."""
    kept: Platform = connection.app.state.platform
    return kept


def door(connection: HTTPConnection) -> Door:
    """The Door of this server."""
    kept: Door = connection.app.state.door
    return kept


def logbook(connection: HTTPConnection) -> LogBook:
    """The LogBook of this server."""
    kept: LogBook = connection.app.state.logbook
    return kept


def _actor(caller: Annotated[Caller, Depends(pass_gate)]) -> User:
    return caller.user


def _app(caller: Annotated[Caller, Depends(pass_gate)]) -> App:
    assert caller.app, "only for routes with {app} in their path"
    return caller.app


async def _environment(
    app: Annotated[App, Depends(_app)],
    platform: Annotated[Platform, Depends(platform)],
    preview: Annotated[
        str | None,
        Query(max_length=NAME_LIMIT, description="Of the preview of this branch; else of production."),
    ] = None,
) -> Environment:
    return await environment_of(platform, app, preview)


Works = Annotated[Platform, Depends(platform)]
Logs = Annotated[LogBook, Depends(logbook)]
Actor = Annotated[User, Depends(_actor)]
TheApp = Annotated[App, Depends(_app)]
TheEnvironment = Annotated[Environment, Depends(_environment)]
PREFIX = "/api/v1"
GATE = [Depends(pass_gate)]
