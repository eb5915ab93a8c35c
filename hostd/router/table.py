"""Pure: a Route as the entry that the Lua side looks up, and the document that holds all entries on disk."""

import json
from collections.abc import Mapping
from typing import Any

from hostd.model.instance import Endpoint
from hostd.model.route import Route, Target, ToDirectory, ToError, ToInstances


def entry(route: Route) -> str:
    """The entry for a Route, as JSON. `route_of` makes an equal Route from it."""
    about = {"app": route.app, "release": route.release}
    return json.dumps(about | _target(route.target), separators=(",", ":"))


def route_of(host: str, text: str) -> Route:
    """The Route that `entry` turned into `text`."""
    data = json.loads(text)
    return Route(host, _target_of(data), data["app"], data["release"])


def document(entries: Mapping[str, str], boot_id: str) -> bytes:
    """The table as it lies on disk. Read after another boot, entries with endpoints are not to be trusted."""
    return json.dumps({"boot_id": boot_id, "routes": dict(entries)}).encode()


def _target(target: Target) -> dict[str, Any]:
    match target:
        case ToInstances(endpoints, first_byte, idle) if endpoints:
            names = [str(endpoint) for endpoint in endpoints]
            return {"kind": "instances", "endpoints": names, "first_byte": first_byte, "idle": idle}
        case ToInstances():
            return {"kind": "error", "code": "H99"}
        case ToDirectory(path, single_page):
            return {"kind": "directory", "path": path, "single_page": single_page}
        case ToError(code):
            return {"kind": "error", "code": code}


def _target_of(data: Mapping[str, Any]) -> Target:
    match data["kind"]:
        case "instances":
            endpoints = tuple(_endpoint(name) for name in data["endpoints"])
            return ToInstances(endpoints, data["first_byte"], data["idle"])
        case "directory":
            return ToDirectory(data["path"], data["single_page"])
        case _:
            return ToError(data["code"])


def _endpoint(name: str) -> Endpoint:
    address, _, port = name.rpartition(":")
    return Endpoint(address, int(port))
