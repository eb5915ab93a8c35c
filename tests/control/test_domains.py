"""Domains: who gets a name, and when it is routed."""

from datetime import timedelta

import pytest

from hostd.control.apps import create_app, destroy_app, production_of
from hostd.control.domains import (
    DomainDetails,
    add_domain,
    check_domain,
    domains_of,
    look_at,
    publish_domains,
    remove_domain,
)
from hostd.errors import Conflict, Invalid, LimitExceeded, NotFound, Unavailable
from hostd.model.app import App, Environment, User
from hostd.model.domain import DOMAINS_LIMIT
from hostd.model.route import Route, ToHost
from hostd.store import domains, users
from tests.control.house import HOST, House
from tests.fakes_control import FakeWorld

WWW = "www.example.com"
HERE, ELSEWHERE = "203.0.113.7", "198.51.100.1"


def world(house: House) -> FakeWorld:
    assert isinstance(house.platform.world, FakeWorld)
    return house.platform.world


async def add(house: House, text: str = WWW) -> DomainDetails:
    return await add_domain(house.platform, house.app, house.ada, house.production, text)


async def bobs(house: House) -> tuple[App, User, Environment]:
    """Another User with an App."""
    bob = await house.platform.db.call(users.create, "bob", False, house.platform.now())
    app = await create_app(house.platform, bob, "bobs")
    return app, bob, await production_of(house.platform, app)


async def test_a_claim_is_not_routed_and_says_what_is_missing(house: House) -> None:
    added = await add(house)
    assert not added.domain.proved and WWW not in house.router.routes
    assert added.domain.problem.startswith("www.example.com has no address; there is no TXT")
    assert [record.type for record in added.records] == ["TXT", "A"]
    assert added.domain.next_try == house.platform.now() + timedelta(minutes=1)


async def test_a_txt_record_with_the_token_proves_it(house: House) -> None:
    token = (await add(house)).domain.token
    world(house).txt[f"_hostd.{WWW}"] = ["v=spf1 -all", token]
    checked = await check_domain(house.platform, house.app, house.ada, WWW)
    assert checked.domain.proved and not checked.domain.problem
    assert house.router.routes[WWW] == Route(
        WWW, ToHost(HOST), "shop", environment="shop-production", https=True
    )
    assert [details.domain for details in await domains_of(house.platform, house.app)] == [checked.domain]


async def test_a_token_of_another_claim_proves_nothing(house: House) -> None:
    app, bob, environment = await bobs(house)
    world(house).txt[f"_hostd.{WWW}"] = [(await add(house)).domain.token]
    assert not (await add_domain(house.platform, app, bob, environment, WWW)).domain.proved


async def test_a_name_that_leads_here_is_proved_at_once(house: House) -> None:
    world(house).names[WWW] = [HERE]
    assert (await add(house)).domain.proved
    assert house.router.answers == {}
    assert world(house).asked == [HERE]


async def test_an_address_that_is_not_ours_is_never_asked(house: House) -> None:
    world(house).names[WWW] = [ELSEWHERE, "169.254.169.254", "127.0.0.1", "::1"]
    added = await add(house)
    assert not added.domain.proved and world(house).asked == []
    assert (
        "leads to 127.0.0.1, 169.254.169.254, 198.51.100.1, ::1, not to this machine" in added.domain.problem
    )


async def test_an_address_where_the_apps_are_is_ours_too(house: House) -> None:
    world(house).names |= {HOST: [ELSEWHERE], WWW: [ELSEWHERE]}
    world(house).own.append(ELSEWHERE)
    assert (await add(house)).domain.proved


async def test_somebody_else_answering_there_proves_nothing(house: House) -> None:
    world(house).names |= {HOST: [ELSEWHERE], WWW: [ELSEWHERE]}
    assert "hostd's proof is not what is answered there" in (await add(house)).domain.problem


async def test_a_name_that_was_anothers_has_to_be_proved_in_the_dns(house: House) -> None:
    world(house).names |= {WWW: [HERE], f"blog.{WWW}": [HERE]}
    world(house).txt[f"_hostd.{WWW}"] = [(await add(house, f"*.{WWW}")).domain.token]
    await check_domain(house.platform, house.app, house.ada, f"*.{WWW}")
    await add(house)
    await remove_domain(house.platform, house.app, house.ada, WWW)
    app, bob, environment = await bobs(house)
    for name in (WWW, f"blog.{WWW}"):
        added = await add_domain(house.platform, app, bob, environment, name)
        assert not added.domain.proved and "was somebody else's before" in added.domain.problem
    assert (await add(house)).domain.proved


async def test_a_name_that_is_proved_is_refused_to_everybody_else(house: House) -> None:
    world(house).names[WWW] = [HERE]
    await add(house)
    app, bob, environment = await bobs(house)
    with pytest.raises(Conflict, match="another app has proved") as refused:
        await add_domain(house.platform, app, bob, environment, "WWW.example.com.")
    assert "shop" not in refused.value.message and "ada" not in refused.value.message
    with pytest.raises(Conflict, match="this app has the domain"):
        await add(house)


async def test_of_two_who_claim_a_name_the_first_to_prove_it_has_it(house: House) -> None:
    app, bob, environment = await bobs(house)
    hers, his = await add(house), await add_domain(house.platform, app, bob, environment, WWW)
    world(house).txt[f"_hostd.{WWW}"] = [hers.domain.token, his.domain.token]
    assert (await check_domain(house.platform, app, bob, WWW)).domain.proved
    late = await check_domain(house.platform, house.app, house.ada, WWW)
    assert "another app has proved" in late.domain.problem
    assert house.router.routes[WWW].app == "bobs"


async def test_a_wildcard_needs_the_record(house: House) -> None:
    world(house).names["*.example.com"] = [HERE]
    added = await add(house, "*.example.com")
    assert added.domain.problem.startswith("there is no TXT record _hostd.example.com")


async def test_a_proved_name_that_leads_elsewhere_stays_and_says_so(house: House) -> None:
    world(house).names[WWW] = [HERE]
    await add(house)
    world(house).names[WWW] = [ELSEWHERE]
    checked = await check_domain(house.platform, house.app, house.ada, WWW)
    assert checked.domain.proved and "leads to 198.51.100.1" in checked.domain.problem
    assert WWW in house.router.routes
    world(house).names[WWW] = [HERE]
    assert (await check_domain(house.platform, house.app, house.ada, WWW)).domain.problem == ""


async def test_what_is_due_is_looked_at_later_and_later(house: House) -> None:
    domain = (await add(house)).domain
    assert await house.platform.db.read(domains.due, house.clock[0], 10) == []
    house.clock[0] += timedelta(minutes=1)
    assert await house.platform.db.read(domains.due, house.clock[0], 10) == [domain]
    again = await look_at(house.platform, domain)
    assert again.next_try == house.clock[0] + timedelta(minutes=2)


async def test_a_removed_domain_answers_no_more_and_is_not_brought_back_by_a_look(house: House) -> None:
    world(house).names[WWW] = [HERE]
    domain = (await add(house)).domain
    await remove_domain(house.platform, house.app, house.ada, WWW)
    assert WWW not in house.router.routes
    with pytest.raises(NotFound):
        await look_at(house.platform, domain)
    with pytest.raises(NotFound):
        await check_domain(house.platform, house.app, house.ada, WWW)


async def test_domains_go_with_their_app(house: House) -> None:
    world(house).names[WWW] = [HERE]
    await add(house)
    await destroy_app(house.platform, house.app, house.ada, "shop")
    assert house.router.routes == {}
    assert await house.platform.db.read(domains.proved) == []


async def test_routes_are_published_again_at_the_start(house: House) -> None:
    world(house).names[WWW] = [HERE]
    await add(house)
    await add(house, "pending.example.com")
    house.router.routes.clear()
    assert await publish_domains(house.platform) == [WWW]
    assert list(house.router.routes) == [WWW]


async def test_nobody_touches_the_domains_of_anothers_app(house: House) -> None:
    _, bob, _ = await bobs(house)
    await add(house)
    for asked in (
        add_domain(house.platform, house.app, bob, house.production, "b.example.com"),
        check_domain(house.platform, house.app, bob, WWW),
        remove_domain(house.platform, house.app, bob, WWW),
    ):
        with pytest.raises(NotFound, match="there is no app"):
            await asked


async def test_an_app_has_so_many_domains_and_no_more(house: House) -> None:
    for number in range(DOMAINS_LIMIT):
        await house.platform.db.call(
            domains.create, house.app.id, house.production.id, f"n{number}.example.com", "t", house.clock[0]
        )
    with pytest.raises(LimitExceeded, match="at most 100 domains"):
        await add(house)


async def test_names_of_hostd_are_refused(house: House) -> None:
    with pytest.raises(Invalid, match="hostd's own"):
        await add(house, "other.localhost")


async def test_a_dns_that_does_not_answer_is_said_and_takes_nothing_away(house: House) -> None:
    world(house).down = True
    assert (await add(house)).domain.problem == f"the DNS does not tell about _hostd.{WWW}"
    world(house).down = False
    world(house).names[WWW] = [HERE]
    assert (await check_domain(house.platform, house.app, house.ada, WWW)).domain.proved
    world(house).down = True
    checked = await check_domain(house.platform, house.app, house.ada, WWW)
    assert checked.domain.proved and "does not tell" in checked.domain.problem
    assert WWW in house.router.routes


async def test_a_route_that_could_not_be_published_is_published_by_the_next_look(house: House) -> None:
    world(house).names[WWW] = [HERE]
    house.router.refuse = "the router does not answer"
    with pytest.raises(Unavailable):
        await add(house)
    house.router.refuse = ""
    (due,) = await house.platform.db.read(domains.due, house.clock[0], 10)
    assert due.proved and WWW not in house.router.routes
    await look_at(house.platform, due)
    assert WWW in house.router.routes
    assert await house.platform.db.read(domains.due, house.clock[0], 10) == []
