"""Certificates: fetched for every host that is to have one and renewed in time, or uploaded; shown by the router.

Whatever fails, the certificate that is there goes on being shown, and nothing else waits for it.
"""

import asyncio
import logging
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from hostd.control.access import Action, authorize
from hostd.control.domains import host_named
from hostd.control.platform import Authority, Platform
from hostd.errors import Conflict, HostdError, Invalid
from hostd.model.app import App, User
from hostd.model.certificate import (
    SIZE_LIMIT,
    Certificate,
    NotIssued,
    Pair,
    check_pair,
    lifetime,
    renewal,
    wait_after,
)
from hostd.store import certificates, domains, environments

LOOK_EVERY = 10.0  # seconds
AT_ONCE = 4  # orders at an authority
ASKED_EVERY = timedelta(days=1)  # whether it would like to renew
_log = logging.getLogger(__name__)


async def certificates_of(platform: Platform, app: App) -> Sequence[Certificate]:
    """The App's, by host."""
    return await platform.db.read(certificates.of_app, app.id)


async def upload_certificate(platform: Platform, app: App, actor: User, text: str, pair: Pair) -> Certificate:
    """Show `pair` for this Domain of the App's, from now on; hostd no longer fetches one. Raises Invalid, NotFound."""
    authorize(actor, Action.MANAGE_DOMAINS, app)
    host = host_named(platform, text)
    domain = await platform.db.read(domains.by_host, app.id, host)
    if not domain.proved:
        raise Conflict(f"{host} is not proved yet", hint=f"hostd domains check {host}")
    if max(len(pair.chain), len(pair.key)) > SIZE_LIMIT:
        raise Invalid(f"a certificate and a key have at most {SIZE_LIMIT // 1024} KiB")
    check_pair(host, pair, platform.now())
    async with platform.locks[_lock(host)]:
        return await _keep(platform, Certificate(host, app.id, uploaded=True), pair)


async def remove_certificate(platform: Platform, app: App, actor: User, text: str) -> None:
    """Forget the App's certificate for this host; one that was uploaded makes room for one to be fetched.

    Raises NotFound.
    """
    authorize(actor, Action.MANAGE_DOMAINS, app)
    host = host_named(platform, text)
    async with platform.locks[_lock(host)]:
        await platform.db.read(certificates.by_host, app.id, host)
        await _forget(platform, host)


async def keep_certified(platform: Platform) -> None:
    """Fetch, renew and forget certificates, for ever."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        try:
            await certify(platform)
        except HostdError as error:
            _log.warning("looking after certificates failed: %s", error.message)
        except Exception:  # noqa: BLE001 (a bug met once must not end the looking for good)
            _log.exception("looking after certificates failed")


async def certify(platform: Platform) -> None:
    """Once: forget certificates of hosts that are gone, and attend to those that are due."""
    known = {each.host: each for each in await platform.db.read(certificates.every)}
    wanted = await _wanted(platform, known)
    for host, certificate in known.items():
        if wanted.get(host, -1) != certificate.app_id:
            await _forget(platform, host)
    if platform.authority is None:
        return
    due = [
        known.get(host, Certificate(host, app_id))
        for host, app_id in wanted.items()
        if host not in known or _due(platform, known[host])
    ]
    due.sort(key=lambda certificate: certificate.tries)  # who fails again and again comes last
    await asyncio.gather(*(_attend(platform, platform.authority, each) for each in due[:AT_ONCE]))


async def _wanted(platform: Platform, known: Mapping[str, Certificate]) -> Mapping[str, int | None]:
    """The hosts that are to have a certificate, or keep theirs, and whose they are: Domains first, then our own names.

    None of our own is fetched where an operator has put one that covers them, or where nobody can own them.
    """
    authority = platform.authority
    wildcards = authority is not None and authority.wildcards
    wanted = {
        domain.host: domain.app_id
        for domain in await platform.db.read(domains.proved)
        if wildcards or not domain.wildcard or domain.host in known
    }
    base = platform.names.base
    everyone = f"*.{base}"
    own: dict[str, int | None] = {everyone: None, platform.names.hostd_host: None}
    every = await platform.db.read(environments.every)
    own |= {each.host: each.app_id for each in sorted(every, key=lambda each: each.preview)}
    covered = everyone in await platform.router.certified() and everyone not in known
    if covered or "." not in base or base.endswith(".localhost"):
        fetched: Collection[str] = ()
    else:
        fetched = {everyone} if wildcards else own.keys() - {everyone}
    return wanted | {host: app_id for host, app_id in own.items() if host in fetched or host in known}


def _due(platform: Platform, certificate: Certificate) -> bool:
    return certificate.next_try is not None and certificate.next_try <= platform.now()


async def _attend(platform: Platform, authority: Authority, certificate: Certificate) -> None:
    try:
        if await _put_off(platform, authority, certificate):
            return
        host = certificate.host
        pair = await authority.issue(host, partial(platform.router.answer, host))
        async with platform.locks[_lock(host)]:
            if not await _uploaded(platform, host):
                await _keep(platform, certificate, pair)
    except NotIssued as error:
        await _note(platform, certificate, error.reason, error.wait)
    except HostdError as error:
        await _note(platform, certificate, error.message, timedelta())


async def _put_off(platform: Platform, authority: Authority, certificate: Certificate) -> bool:
    """Whether it is too early to renew; then it is looked at again when it is time, or tomorrow."""
    if certificate.not_before is None or certificate.not_after is None or certificate.problem:
        return False
    usual = renewal(certificate.not_before, certificate.not_after)
    when = min(usual, await authority.renewal(certificate.chain) or usual)
    now = platform.now()
    if when <= now:
        return False
    async with platform.locks[_lock(certificate.host)]:
        if not await _uploaded(platform, certificate.host):
            later = replace(certificate, next_try=min(when, now + ASKED_EVERY))
            await platform.db.call(certificates.put, later)
    return True


async def _uploaded(platform: Platform, host: str) -> bool:
    """Whether somebody uploaded one for it meanwhile; the caller holds its lock."""
    return any(each.host == host and each.uploaded for each in await platform.db.read(certificates.every))


async def _keep(platform: Platform, certificate: Certificate, pair: Pair) -> Certificate:
    not_before, not_after = lifetime(pair.chain)
    await platform.router.use_certificate(certificate.host, pair.chain, pair.key)
    kept = replace(
        certificate,
        chain=pair.chain,
        not_before=not_before,
        not_after=not_after,
        problem="",
        tries=0,
        next_try=None if certificate.uploaded else platform.now(),
    )
    await platform.db.call(certificates.put, kept)
    return kept


async def _note(platform: Platform, certificate: Certificate, reason: str, wait: timedelta) -> None:
    """The old certificate, if there is one, goes on being shown."""
    chance = random.random()  # noqa: S311 (spreads load)
    next_try = platform.now() + max(wait, wait_after(certificate.tries, chance))
    _log.warning("no certificate for %s: %s", certificate.host, reason)
    noted = replace(certificate, problem=reason, tries=certificate.tries + 1, next_try=next_try)
    async with platform.locks[_lock(certificate.host)]:
        if not await _uploaded(platform, certificate.host):
            await platform.db.call(certificates.put, noted)


async def _forget(platform: Platform, host: str) -> None:
    await platform.router.forget_certificate(host)
    await platform.db.call(certificates.remove, host)


def _lock(host: str) -> str:
    return f"certificate {host}"
