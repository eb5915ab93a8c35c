"""The table as text."""

import json

import pytest

from hostd.errors import Invalid
from hostd.model.instance import Endpoint
from hostd.model.route import Route, Share, Target, ToDirectory, ToError, ToHost, ToInstances
from hostd.router.table import change, entry, header, route_of

TWO = (Endpoint("10.0.0.1", 8000), Endpoint("10.0.0.2", 8001))


@pytest.mark.parametrize(
    "target",
    [
        ToInstances(TWO),
        ToInstances(TWO[:1], first_byte=0.5, idle=900),
        ToDirectory('/srv/a "b"\n'),
        ToDirectory("/srv/a", single_page=True),
        ToHost("shop.localhost"),
        ToError("H80"),
    ],
)
def test_a_route_comes_back_from_its_entry(target: Target) -> None:
    for route in (
        Route("shop.localhost", target, "shop", "v3"),
        Route("fix--shop.localhost", target, "shop", "v3", "fix--shop", noindex=True, password="ab12:9f86"),
        Route("shop.localhost", target, "shop", "v3", share=Share("v4", ToInstances(TWO[1:], 0.5, 9), 10)),
    ):
        assert route_of(route.host, entry(route)) == route


def test_a_route_to_no_instances_is_an_error_page() -> None:
    route = Route("shop.localhost", ToInstances(()), "shop", "v3")
    assert route_of(route.host, entry(route)).target == ToError("H99")


@pytest.mark.parametrize("host", ["", "A.localhost", "a.localhost.", "a:80", "a b", 'a"', "a..b", "x" * 254])
def test_only_a_host_name_can_be_routed(host: str) -> None:
    with pytest.raises(Invalid):
        entry(Route(host, ToError("H80"), "shop"))


def test_a_change_is_one_line_with_entries_and_nulls() -> None:
    routes = [Route(f"{name}.localhost", ToInstances(TWO), name, "v1") for name in ("a", "b")]
    line = change({route.host: entry(route) for route in routes} | {"gone.localhost": None})
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    data = json.loads(line)
    assert data.pop("gone.localhost") is None
    assert [route_of(host, json.dumps(value)) for host, value in data.items()] == routes
    assert json.loads(header("boot-1")) == {"boot_id": "boot-1"} and json.loads(change({})) == {}
