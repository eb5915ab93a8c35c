"""The house put together: the one place that knows which engine, store and router there are."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from hostd.build.lifecycle import Lifecycle
from hostd.control import reconcile, runs
from hostd.control.autoscale import Autoscaler
from hostd.control.canary import end_canaries
from hostd.control.certificates import keep_certified
from hostd.control.cron import Scheduler
from hostd.control.deliveries import work_off_deliveries
from hostd.control.domains import keep_looking
from hostd.control.liveness import Liveness
from hostd.control.logs import LogBook
from hostd.control.platform import Names, Platform
from hostd.control.secrets import Secrets
from hostd.control.sleep import Sleeper, SleepTimes
from hostd.control.traffic import measure
from hostd.domains.acme import AcmeAuthority
from hostd.domains.world import World
from hostd.engine.base import Report
from hostd.engine.local import LocalEngine
from hostd.errors import HostdError
from hostd.git.config import check_installed
from hostd.git.repos import Repositories
from hostd.model.instance import Endpoint, Limits
from hostd.model.run import RunLimits
from hostd.router.nginx import NginxRouter
from hostd.settings import Settings
from hostd.store import installation, tokens, users
from hostd.store.database import Database
from hostd.wiring.ground import lay_out

SHUTDOWN_LIMIT = 20  # seconds for what is under way; a build that takes longer is cut off
ADMINISTRATOR = "admin"
API_HOST = "hostd"  # the console's and API's name below the base domain
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class House:
    """All of a running hostd. `token` is the administrator's, at the first start only."""

    platform: Platform
    logbook: LogBook
    report: Report
    token: str


@asynccontextmanager
async def open_platform(settings: Settings) -> AsyncIterator[House]:
    """Open everything, recover what an earlier hostd left, and close it again; Instances and router go on."""
    data = settings.data
    await check_installed()
    db = Database.open(settings.database)
    engine, router = await engine_of(settings, db), router_of(settings)
    repositories = Repositories(data / "repositories", data / "apps")
    repositories.open()
    toolchains, buildpacks = await asyncio.to_thread(lay_out, data)
    report = await engine.open()
    builder = Lifecycle(data / "apps", engine, buildpacks, toolchains)
    logbook = LogBook(data / "logs")
    platform = Platform(
        data=data,
        db=db,
        repositories=repositories,
        builder=builder,
        engine=engine,
        router=router,
        world=World(settings.dns_resolver, settings.http_port),
        authority=_authority(settings),
        secrets=Secrets.open(data / "key"),
        names=_names(settings, router),
        now=clock,
        limits=Limits(memory_mb=settings.instance_memory_mb),
        builds=asyncio.Semaphore(settings.builds_at_once),
        note=logbook.add,
        private_forges=settings.private_forges,
        jobs=asyncio.Semaphore(settings.cron_at_once),
        run_limits=RunLimits(settings.runs_at_once, settings.run_seconds),
    )
    try:
        await router.open()
        running = [_keep_running(logbook.run(engine, router))]
        running.append(_keep_running(measure(platform, router.requests())))
        await runs.adopt_runs(platform)
        await reconcile.recover(platform)
        sleeper = Sleeper(platform, SleepTimes(settings.reclaim_after, settings.stop_after))
        await router.on_wake(sleeper.wake)
        for work in (
            sleeper.run(router.requests()),
            Liveness(platform).run(),
            reconcile.keep_reconciling(platform),
            Scheduler(platform).run(),
            keep_looking(platform),
            work_off_deliveries(platform),
            Autoscaler(platform).run(),
            keep_certified(platform),
        ):
            running.append(_keep_running(work))
        try:
            yield House(platform, logbook, report, await db.call(_first_token, clock()))
        finally:
            await _let_go(platform)
            await _cancel(running)
    finally:
        await builder.close()
        await router.close()
        await engine.close()
        db.close()


def _keep_running(work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """A task that only a shutdown may end; if it ends by itself the operator is told."""

    def tell(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            _log.critical("hostd lost a part of itself: restart it", exc_info=task.exception())

    task = asyncio.create_task(work)
    task.add_done_callback(tell)
    return task


def _authority(settings: Settings) -> AcmeAuthority | None:
    if (acme := settings.acme) is None:
        return None
    return AcmeAuthority(settings.data / "acme", acme.directory, acme.email, acme.ca, acme.dns_hook)


async def engine_of(settings: Settings, db: Database) -> LocalEngine:
    run = settings.data / "run"
    installation = await db.call(_installation)
    return LocalEngine(run / "engine", installation, run / "output", settings.zram_mb)


def router_of(settings: Settings) -> NginxRouter:
    return NginxRouter(
        settings.data / "router",
        settings.http_port,
        settings.https_port,
        Endpoint(settings.listen_address, settings.listen_port),
        f"{API_HOST}.{settings.base}",
        settings.base,
    )


async def _let_go(platform: Platform) -> None:
    """End what this process does for Instances, but not the Instances; finish what runs in the background."""
    await runs.unfollow(platform)
    await end_canaries(platform)
    for keeper in list(platform.keepers.values()):  # a push that is past its commit point may add one
        with suppress(HostdError):  # a router that does not answer must not leave the others frozen
            await keeper.thaw()
        await keeper.let_go()
    for former in list(platform.formers.values()):
        await former.let_go()
    if platform.background:
        await asyncio.wait(platform.background, timeout=SHUTDOWN_LIMIT)
    await _cancel(list(platform.background))


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _names(settings: Settings, router: NginxRouter) -> Names:
    return Names(
        settings.base,
        settings.http_port,
        settings.https_port,
        settings.public_url,
        settings.ssh_port,
        router.is_certified,
    )


def _installation(connection: Connection) -> str:
    known = installation.setting(connection, "installation")
    if known is None:
        known = secrets.token_hex(4)
        installation.set(connection, "installation", known)
    return known


def _first_token(connection: Connection, now: datetime) -> str:
    """The first administrator and a token, if there is no user yet; else ""."""
    if users.count(connection) > 0:
        return ""
    admin = users.create(connection, ADMINISTRATOR, True, now)
    return tokens.issue(connection, admin.id, "first start", now)


def administrator_token(connection: Connection, now: datetime) -> str:
    admin = users.by_name(connection, ADMINISTRATOR)
    return tokens.issue(connection, admin.id, "admin token", now)


def clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 (the clock that everybody is given)
