"""Domains: claiming a host name, proving that it is one's own, and routing it to an Environment.

A claim is proved by a TXT record with its token, or by leading here: the name has this machine's address, and at that
address the router answers what it was just told to. The second proves less, as old records may still lead here; so
it does not count for a name that another User has proved before.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from hostd.control.access import Action, authorize
from hostd.control.platform import Platform
from hostd.errors import Conflict, HostdError, NotFound, Unavailable
from hostd.model.app import App, Environment, User
from hostd.model.certificate import Certificate
from hostd.model.domain import PROOF_PATH, Domain, Record, host_of, new_token, wait_after
from hostd.model.route import Route, ToHost
from hostd.store import apps, certificates, domains, environments

LOOK_EVERY = 5.0  # seconds
AT_ONCE = 10  # names that are looked at together
STILL_HERE_EVERY = timedelta(days=1)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DomainDetails:
    """A Domain, the Environment it answers as, the DNS records that it needs, and its certificate, if it has one or one
    was tried for."""

    domain: Domain
    environment: Environment
    records: Sequence[Record]
    certificate: Certificate | None


async def add_domain(
    platform: Platform, app: App, actor: User, environment: Environment, text: str
) -> DomainDetails:
    """Claim the name for `environment`, and look at once whether it is proved.

    Raises Invalid, Conflict, LimitExceeded.
    """
    authorize(actor, Action.MANAGE_DOMAINS, app)
    host = host_named(platform, text)
    claim = await platform.db.call(domains.create, app.id, environment.id, host, new_token(), platform.now())
    return (await _details(platform, [await look_at(platform, claim)]))[0]


async def domains_of(platform: Platform, app: App) -> Sequence[DomainDetails]:
    """The App's Domains, by name."""
    return await _details(platform, await platform.db.read(domains.of_app, app.id))


async def check_domain(platform: Platform, app: App, actor: User, text: str) -> DomainDetails:
    """Look now whether the Domain is proved, and still leads here. Raises NotFound."""
    authorize(actor, Action.MANAGE_DOMAINS, app)
    domain = await platform.db.read(domains.by_host, app.id, host_named(platform, text))
    return (await _details(platform, [await look_at(platform, domain)]))[0]


async def remove_domain(platform: Platform, app: App, actor: User, text: str) -> None:
    """Forget the Domain: from now on it answers as unknown. Raises NotFound."""
    authorize(actor, Action.MANAGE_DOMAINS, app)
    host = host_named(platform, text)
    async with platform.locks[_lock(host)]:
        domain = await platform.db.read(domains.by_host, app.id, host)
        await platform.db.call(domains.remove, domain.id)
        if domain.proved:
            await platform.router.withdraw([host])


def host_named(platform: Platform, text: str) -> str:
    """The host that `text` names. Raises Invalid for one that no App may have."""
    return host_of(text, platform.names.base, urlsplit(platform.names.public_url).hostname or "")


async def look_at(platform: Platform, domain: Domain) -> Domain:
    """What there is to see of `domain` now, stored; once it is proved it is routed. Raises NotFound if it is gone."""
    environment = await platform.db.read(environments.by_id, domain.environment_id)
    owner_id = (await platform.db.read(apps.by_id, domain.app_id)).owner_id
    try:
        problem = await _problem(platform, domain, environment, owner_id)
    except Unavailable as error:
        problem = error.message
    async with platform.locks[_lock(domain.host)]:
        await platform.db.read(domains.by_host, domain.app_id, domain.host)  # or it is gone
        if domain.proved:
            await platform.router.publish([route_of_domain(domain, environment)])
        if domain.proved or problem:
            return await _note(platform, domain, problem)
        # Looked at again at once: by then a router that could not take the Route has it.
        proved = replace(domain, proved_at=platform.now(), problem="", next_try=platform.now())
        try:
            await platform.db.call(domains.prove, proved, owner_id)
        except Conflict as error:
            return await _note(platform, domain, error.message)
        await platform.router.publish([route_of_domain(proved, environment)])
        return proved


async def keep_looking(platform: Platform) -> None:
    """Look again, for ever, at what is not proved yet, and each day at what is."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        try:
            due = await platform.db.read(domains.due, platform.now(), AT_ONCE)
            await asyncio.gather(*(_look_again(platform, domain) for domain in due))
        except HostdError as error:
            _log.warning("looking at domains failed: %s", error.message)
        except Exception:  # noqa: BLE001 (a bug met once must not end the looking for good)
            _log.exception("looking at domains failed")


async def publish_domains(platform: Platform) -> Sequence[str]:
    """At start: publish the Routes of all Domains that are proved; their hosts."""
    known = {each.id: each for each in await platform.db.read(environments.every)}
    proved = await platform.db.read(domains.proved)
    await platform.router.publish([route_of_domain(each, known[each.environment_id]) for each in proved])
    return [domain.host for domain in proved]


def route_of_domain(domain: Domain, environment: Environment) -> Route:
    """A Domain goes where its Environment's host goes, at every moment."""
    return Route(
        domain.host,
        ToHost(environment.host),
        environment.app,
        environment=environment.label,
        https=environment.tls.redirect,
        hsts=environment.tls.hsts,
    )


async def _look_again(platform: Platform, domain: Domain) -> None:
    with suppress(NotFound):  # it was removed meanwhile
        await look_at(platform, domain)


async def _note(platform: Platform, domain: Domain, problem: str) -> Domain:
    next_try = _tomorrow(platform) if domain.proved else platform.now() + wait_after(domain.tries)
    noted = replace(domain, problem=problem, tries=domain.tries + 1, next_try=next_try)
    await platform.db.call(domains.update, noted)
    return noted


async def _problem(platform: Platform, domain: Domain, environment: Environment, owner_id: int) -> str:
    """Why nothing shows that the name is the App's; "" if something does."""
    world = platform.world
    if domain.token in await world.texts(domain.proof_name):
        return ""
    missing = f"there is no TXT record {domain.proof_name} with the value {domain.token}"
    if domain.wildcard:
        return missing
    found, theirs = await asyncio.gather(world.addresses(domain.host), world.addresses(environment.host))
    ours = {*theirs, *world.own_addresses()}
    leads_here = [address for address in found if address in ours]
    if not leads_here:
        where = f"leads to {', '.join(sorted(found))}, not to this machine" if found else "has no address"
        return f"{domain.host} {where}; {missing}"
    if domain.proved:
        return ""
    if await platform.db.read(domains.was_proved_by_another, domain.host, owner_id):
        return f"{domain.host} was somebody else's before, so it has to be proved in the DNS: {missing}"
    if not await _answers(platform, domain, leads_here[0]):
        return f"{domain.host} leads here, but hostd's proof is not what is answered there; {missing}"
    return ""


async def _answers(platform: Platform, domain: Domain, address: str) -> bool:
    """Whether what is asked as the Domain at `address`, which is ours, arrives at our router."""
    path = PROOF_PATH + secrets.token_hex(16)
    await platform.router.answer(domain.host, path, domain.token)
    try:
        return await platform.world.says(address, domain.host, path) == domain.token
    finally:
        await platform.router.answer(domain.host, path, None)


async def _details(platform: Platform, found: Sequence[Domain]) -> Sequence[DomainDetails]:
    known = {each.id: each for each in await platform.db.read(environments.every)}
    certified = {each.host: each for each in await platform.db.read(certificates.every)}
    hosts = sorted({known[domain.environment_id].host for domain in found})
    leads = dict(
        zip(hosts, await asyncio.gather(*(_addresses(platform, host) for host in hosts)), strict=True)
    )
    details = []
    for domain in found:
        environment = known[domain.environment_id]
        records = domain.records(environment.host, leads[environment.host])
        details.append(DomainDetails(domain, environment, records, certified.get(domain.host)))
    return details


async def _addresses(platform: Platform, host: str) -> Sequence[str]:
    """Where `host` leads; this machine's own addresses if nobody can tell."""
    with suppress(Unavailable):
        if found := await platform.world.addresses(host):
            return found
    return platform.world.own_addresses()


def _tomorrow(platform: Platform) -> datetime:
    return platform.now() + STILL_HERE_EVERY


def _lock(host: str) -> str:
    return f"domain {host}"
