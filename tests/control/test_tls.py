"""Redirects to HTTPS and HSTS: at all hosts of an App, from the next request on."""

import pytest

from hostd.control.apps import production_of
from hostd.control.domains import add_domain
from hostd.control.tls import HSTS_LONGEST, change_tls, tls_of
from hostd.errors import Invalid, NotFound
from hostd.model.app import TlsSettings, User
from tests.control.house import HOST, House
from tests.control.test_domains import HERE, WWW, world


async def test_hosts_are_sent_on_to_https_unless_told_otherwise(house: House) -> None:
    world(house).names[WWW] = [HERE]
    await house.deploy()
    await add_domain(house.platform, house.app, house.ada, house.production, WWW)
    assert await tls_of(house.platform, house.app) == TlsSettings()
    assert house.router.routes[HOST].https and house.router.routes[WWW].https
    await change_tls(house.platform, house.app, house.ada, redirect=False)
    changed = await change_tls(house.platform, house.app, house.ada, hsts=3600)
    assert changed == TlsSettings(False, 3600) == await tls_of(house.platform, house.app)
    for host in (HOST, WWW):
        route = house.router.routes[host]
        assert (route.https, route.hsts) == (False, 3600)
    house.production = await production_of(house.platform, house.app)
    await house.deploy()
    assert (house.route.https, house.route.hsts) == (False, 3600)


async def test_an_app_without_a_release_can_be_told_too(house: House) -> None:
    await change_tls(house.platform, house.app, house.ada, hsts=60)
    assert house.router.routes[HOST].hsts == 60


@pytest.mark.parametrize("hsts", [-1, HSTS_LONGEST + 1, 10**12])
async def test_a_time_that_makes_no_sense_is_refused(house: House, hsts: int) -> None:
    with pytest.raises(Invalid, match=f"insist on HTTPS for {hsts} s"):
        await change_tls(house.platform, house.app, house.ada, hsts=hsts)


async def test_it_is_the_owners_to_say(house: House) -> None:
    with pytest.raises(NotFound):
        await change_tls(house.platform, house.app, User(99, "bob", False), redirect=False)
