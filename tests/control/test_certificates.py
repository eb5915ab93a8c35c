"""Certificates: who gets one, when it is renewed, and what a failure leaves alone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hostd.control.apps import destroy_app
from hostd.control.certificates import (
    AT_ONCE,
    certificates_of,
    certify,
    remove_certificate,
    upload_certificate,
)
from hostd.control.domains import add_domain, check_domain, domains_of, remove_domain
from hostd.errors import Conflict, Invalid, NotFound, Unavailable
from hostd.model.certificate import Certificate, NotIssued, Pair
from hostd.store import certificates
from hostd.store import users as users_store
from tests.control.house import House, house_in
from tests.fakes_control import FakeWorld
from tests.model.test_certificate import key_pem, made

WWW = "www.example.com"
KEY = ec.generate_private_key(ec.SECP256R1())
DAY = timedelta(days=1)


@dataclass
class FakeAuthority:
    """Issues for 90 days from the House's clock; `refuse` by host, `wish` is when it would like to renew."""

    clock: list[datetime]
    wildcards: bool = False
    wish: datetime | None = None
    refuse: dict[str, NotIssued] = field(default_factory=dict)
    issued: list[str] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def issue(self, host: str, answer: Callable[[str, str | None], Awaitable[None]]) -> Pair:
        await answer("/.well-known/acme-challenge/1", "text")
        await answer("/.well-known/acme-challenge/1", None)
        if self.meanwhile:
            await self.meanwhile()
        if host in self.refuse:
            raise self.refuse[host]
        self.issued.append(host)
        return pair(host, self.clock[0])

    async def renewal(self, chain: str) -> datetime | None:
        return self.wish


def pair(host: str, now: datetime, days: int = 90) -> Pair:
    """A certificate and its key."""
    return Pair(made(KEY, KEY, host, now=now, days=days), key_pem(KEY))


@dataclass
class Office:
    """A House below apps.example.org, with an authority and www.example.com proved for shop."""

    house: House
    authority: FakeAuthority

    async def pass_by(self, time: timedelta) -> None:
        """Let time pass, then look."""
        self.house.clock[0] += time
        await self.look()

    async def look(self) -> None:
        await certify(self.house.platform)

    async def kept(self, host: str = WWW) -> Certificate:
        found = await self.house.platform.db.read(certificates.every)
        return next(each for each in found if each.host == host)

    @property
    def shown(self) -> set[str]:
        """The hosts that have a certificate at the router."""
        return set(self.house.router.certificates)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with house_in(tmp_path) as house:
        house.clock[0] = datetime(2026, 11, 25, tzinfo=UTC)
        authority = FakeAuthority(house.clock)
        house.platform = replace(house.platform, authority=authority)
        await prove(house, WWW)
        yield Office(house, authority)


async def certificates_forgotten(office: Office) -> None:
    """As if there had never been one."""
    await office.house.platform.db.call(certificates.remove, WWW)


async def prove(house: House, text: str) -> None:
    assert isinstance(house.platform.world, FakeWorld)
    added = await add_domain(house.platform, house.app, house.ada, house.production, text)
    house.platform.world.txt[added.domain.proof_name] = [added.domain.token]
    assert (await check_domain(house.platform, house.app, house.ada, text)).domain.proved


async def test_a_proved_domain_gets_a_certificate_and_a_pending_one_none(office: Office) -> None:
    house = office.house
    await add_domain(house.platform, house.app, house.ada, house.production, "pending.example.com")
    await prove(house, "*.example.org")
    await office.look()
    assert office.authority.issued == [WWW]
    assert office.shown == {WWW}
    assert house.router.answers == {}
    kept = await office.kept()
    assert (kept.not_after, kept.problem) == (house.clock[0] + 90 * DAY, "")
    details = {each.domain.host: each for each in await domains_of(house.platform, house.app)}
    assert details[WWW].certificate == kept


async def test_it_is_renewed_with_a_third_left_and_not_before(office: Office) -> None:
    await office.look()
    for _ in range(59):
        await office.pass_by(DAY)
    assert office.authority.issued == [WWW]
    await office.pass_by(DAY)
    assert office.authority.issued == [WWW, WWW]


async def test_it_is_renewed_earlier_if_the_authority_would_like_it(office: Office) -> None:
    await office.look()
    office.authority.wish = office.house.clock[0] + 3 * DAY
    await office.pass_by(timedelta(minutes=1))
    await office.pass_by(DAY)
    assert office.authority.issued == [WWW]
    await office.pass_by(2 * DAY)
    assert office.authority.issued == [WWW, WWW]


async def test_a_failure_is_said_and_tried_again_later_and_later(office: Office) -> None:
    office.authority.refuse[WWW] = NotIssued("the authority refused: no")
    await office.look()
    first = await office.kept()
    assert (first.problem, first.chain, office.shown) == ("the authority refused: no", "", set())
    assert first.next_try and timedelta(minutes=5) <= first.next_try - office.house.clock[0] <= timedelta(
        minutes=6
    )
    await office.pass_by(timedelta(minutes=1))
    assert (await office.kept()).tries == 1
    await office.pass_by(timedelta(minutes=6))
    assert (await office.kept()).tries == 2
    office.authority.refuse.clear()
    await office.pass_by(timedelta(minutes=13))
    assert (await office.kept()).problem == "" and office.shown == {WWW}


async def test_an_authority_that_says_when_to_come_back_is_not_asked_before(office: Office) -> None:
    office.authority.refuse[WWW] = NotIssued("rate limited", wait=timedelta(hours=30))
    await office.look()
    office.authority.refuse.clear()
    await office.pass_by(timedelta(hours=29))
    assert office.authority.issued == []
    await office.pass_by(timedelta(hours=1))
    assert office.authority.issued == [WWW]


async def test_a_renewal_that_fails_leaves_the_old_certificate_there(office: Office) -> None:
    await office.look()
    before = office.house.router.certificates[WWW]
    office.authority.refuse[WWW] = NotIssued("down")
    await office.pass_by(timedelta(minutes=1))
    await office.pass_by(61 * DAY)
    assert (await office.kept()).problem == "down"
    assert office.house.router.certificates[WWW] == before
    await office.pass_by(40 * DAY)
    assert office.house.router.certificates[WWW] == before  # expired, and still better than none
    office.authority.refuse.clear()
    await office.pass_by(2 * DAY)
    assert office.house.router.certificates[WWW] != before


async def test_one_failure_does_not_keep_others_waiting(office: Office) -> None:
    names = [f"n{number}.example.com" for number in range(AT_ONCE)]
    for name in names:
        office.authority.refuse[name] = NotIssued("no")
        await prove(office.house, name)
    for _ in range(2):
        await office.look()
    assert office.authority.issued == [WWW]


async def test_a_router_that_does_not_answer_is_a_failure_like_others(office: Office) -> None:
    async def unplug() -> None:
        async def refuse(*_: object) -> None:
            raise Unavailable("the router does not answer")

        office.house.router.use_certificate = refuse  # type: ignore[assignment]

    office.authority.meanwhile = unplug
    await office.look()
    assert (await office.kept()).problem == "the router does not answer"


async def test_a_certificate_goes_with_its_domain_and_its_app(office: Office) -> None:
    await prove(office.house, "shop.example.com")
    await office.look()
    await remove_domain(office.house.platform, office.house.app, office.house.ada, WWW)
    await office.look()
    assert office.shown == {"shop.example.com"}
    await destroy_app(office.house.platform, office.house.app, office.house.ada, "shop")
    await office.look()
    assert office.shown == set()
    assert await office.house.platform.db.read(certificates.every) == []


async def test_the_apps_own_hosts_get_certificates_too(office: Office) -> None:
    house = office.house
    names = replace(house.platform.names, base="localhost.example.org")
    house.platform = replace(house.platform, names=names)
    await office.look()
    assert office.shown == {WWW, "shop.localhost", "hostd.localhost.example.org"}


async def test_with_a_dns_hook_one_wildcard_does_for_all_of_them(office: Office) -> None:
    house = office.house
    names = replace(house.platform.names, base="apps.example.org")
    house.platform = replace(house.platform, names=names)
    office.authority.wildcards = True
    await prove(house, "*.example.net")
    await office.look()
    assert office.shown == {WWW, "*.apps.example.org", "*.example.net"}
    assert (await office.kept("*.apps.example.org")).app_id is None


async def test_what_an_operator_put_there_is_left_alone(office: Office) -> None:
    house = office.house
    house.platform = replace(house.platform, names=replace(house.platform.names, base="apps.example.org"))
    house.router.certificates["*.apps.example.org"] = ("chain", "key")
    await office.look()
    assert office.shown == {WWW, "*.apps.example.org"}


async def test_without_an_authority_nothing_is_fetched_and_nothing_lost(office: Office) -> None:
    await office.look()
    house = office.house
    house.platform = replace(house.platform, authority=None)
    await prove(house, "more.example.com")
    await certify(house.platform)
    assert office.shown == {WWW}


async def test_an_uploaded_certificate_is_shown_and_never_replaced(office: Office) -> None:
    house = office.house
    own = pair(WWW, house.clock[0], days=10)
    kept = await upload_certificate(house.platform, house.app, house.ada, WWW, own)
    assert kept.uploaded and house.router.certificates[WWW] == (own.chain, own.key)
    await office.pass_by(20 * DAY)
    assert office.authority.issued == [] and house.router.certificates[WWW] == (own.chain, own.key)
    assert list(await certificates_of(house.platform, house.app)) == [kept]
    await remove_certificate(house.platform, house.app, house.ada, WWW)
    assert office.shown == set()
    await office.look()
    assert office.authority.issued == [WWW]


async def test_one_that_is_uploaded_while_another_is_fetched_wins(office: Office) -> None:
    house = office.house
    own = pair(WWW, house.clock[0])

    async def upload() -> None:
        await upload_certificate(house.platform, house.app, house.ada, WWW, own)

    office.authority.meanwhile = upload
    for refusal in ({}, {WWW: NotIssued("no")}):
        office.authority.refuse = refusal
        await certificates_forgotten(office)
        await office.look()
        assert (await office.kept()).uploaded
        assert house.router.certificates[WWW] == (own.chain, own.key)


async def test_one_that_does_not_fit_is_refused_and_changes_nothing(office: Office) -> None:
    house = office.house
    await office.look()
    before = dict(house.router.certificates)
    other = pair("other.example.com", house.clock[0])
    with pytest.raises(Invalid, match=r"for other\.example\.com, not for www\.example\.com"):
        await upload_certificate(house.platform, house.app, house.ada, WWW, other)
    with pytest.raises(Invalid, match="at most 64 KiB"):
        await upload_certificate(house.platform, house.app, house.ada, WWW, Pair("x" * 70_000, ""))
    assert house.router.certificates == before


async def test_only_for_a_proved_domain_of_ones_own(office: Office) -> None:
    house = office.house
    own = pair("pending.example.com", house.clock[0])
    with pytest.raises(NotFound):
        await upload_certificate(house.platform, house.app, house.ada, "pending.example.com", own)
    await add_domain(house.platform, house.app, house.ada, house.production, "pending.example.com")
    with pytest.raises(Conflict, match="not proved yet"):
        await upload_certificate(house.platform, house.app, house.ada, "pending.example.com", own)
    bob = await house.platform.db.call(users_store.create, "bob", False, house.clock[0])
    with pytest.raises(NotFound, match="there is no app"):
        await upload_certificate(house.platform, house.app, bob, WWW, own)
    with pytest.raises(NotFound, match="no certificate"):
        await remove_certificate(house.platform, house.app, house.ada, WWW)
