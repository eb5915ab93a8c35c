from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hostd.control.routing import route_of
from hostd.model.app import Environment
from hostd.model.image import Image, StaticSite
from hostd.model.instance import Endpoint, Instance
from hostd.model.release import Release, ReleaseState
from hostd.model.route import Target, ToDirectory, ToError, ToInstances
from tests.control.house import image_of
from tests.fakes import instance_spec

SHOP = Environment(7, 1, "shop", "production", "main", "shop.localhost")
STATIC = replace(image_of(), processes=(), static=StaticSite("", single_page=True))
ENDPOINTS = (Endpoint("10.0.0.2", 80), Endpoint("10.0.0.3", 80))
HEALTHY = [Instance(instance_spec(), endpoint, 1.0) for endpoint in ENDPOINTS]
SITE = Path("/srv/site")


def release(image: Image) -> Release:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    return Release(1, 7, 12, ReleaseState.LIVE, image, {}, "c" * 40, "a push", "ada", now)


@pytest.mark.parametrize(
    ("image", "healthy", "site", "asleep", "target"),
    [
        (None, [], None, False, ToError("H81")),
        (image_of(), HEALTHY, None, False, ToInstances(ENDPOINTS)),
        (image_of(), HEALTHY, None, True, ToInstances(ENDPOINTS, asleep=True)),
        (image_of(), [], None, True, ToInstances((), asleep=True)),
        (image_of(), [], None, False, ToError("H10")),
        (image_of(worker="sleep 9"), [], None, False, ToError("H14")),
        (STATIC, [], SITE, False, ToDirectory("/srv/site", single_page=True)),
        (STATIC, [], None, False, ToError("H14")),
    ],
)
def test_a_host_goes_where_its_release_answers(
    image: Image | None, healthy: list[Instance], site: Path | None, asleep: bool, target: Target
) -> None:
    route = route_of(SHOP, release(image) if image else None, healthy, site, asleep=asleep)
    assert route.target == target
    assert (route.host, route.app, route.environment) == ("shop.localhost", "shop", "shop-production")
    assert route.release == ("v12" if image else "")


def test_a_preview_is_kept_from_search_engines_and_has_its_password() -> None:
    topic = replace(SHOP, name="topic", password="salt:hash")
    assert [route_of(each, None, []).noindex for each in (SHOP, topic)] == [False, True]
    assert route_of(topic, None, []).password == "salt:hash"


def test_an_app_scaled_to_none_says_so_instead_of_crashed() -> None:
    assert route_of(SHOP, release(image_of()), [], scaled_up=False).target == ToError("H14")
