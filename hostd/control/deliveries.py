"""Working off what forges delivered: one at a time for each App, the newest of each branch, again after a crash."""

import asyncio
import logging
import secrets
from contextlib import suppress
from dataclasses import replace

from hostd.control.deploys import pause_of
from hostd.control.platform import Platform
from hostd.control.pulling import Pull, Pulled, environment_at, fork_pull, pull, pull_fork, remove_fork
from hostd.control.statuses import report
from hostd.errors import HostdError, NotFound
from hostd.model.app import App
from hostd.model.forge import Delivery, DeliveryState, Forge, Progress, What
from hostd.store import apps, deliveries, forges, users
from hostd.transcript import Transcript

LOOK_EVERY = 30.0  # seconds; only for what a store that refused to write has left
_PROGRESS = {
    DeliveryState.DEPLOYED: Progress.SUCCESS,
    DeliveryState.FAILED: Progress.FAILURE,
    DeliveryState.SKIPPED: Progress.SKIPPED,
}
_log = logging.getLogger(__name__)


async def work_off_deliveries(platform: Platform) -> None:
    """For ever. What an earlier hostd was cut off from is done first."""
    await platform.db.call(deliveries.requeue_interrupted)
    busy: set[int] = set()
    while True:
        platform.queued.clear()
        for app_id in await platform.db.read(forges.app_ids, (DeliveryState.QUEUED,)):
            if app_id not in busy:
                busy.add(app_id)
                platform.later(_work_off(platform, app_id, busy))
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await platform.queued.wait()


async def _work_off(platform: Platform, app_id: int, busy: set[int]) -> None:
    try:
        while delivery := await platform.db.call(deliveries.take, app_id, platform.now()):
            with suppress(NotFound):  # disconnected, or destroyed, meanwhile
                await work_on(platform, delivery)
    finally:
        busy.discard(app_id)
    platform.queued.set()  # one may have come since the last look


async def work_on(platform: Platform, delivery: Delivery) -> None:
    """Do what a Delivery wants, tell the Forge, and record both. A cancelled one is done again after the next start."""
    forge = await platform.db.read(forges.by_id, delivery.forge_id)
    app = await platform.db.read(apps.by_id, forge.app_id)
    work = _Work(platform, forge, app, delivery)
    try:
        ended = await work.run()
    except asyncio.CancelledError:
        work.leave()
        raise
    except HostdError as error:
        ended = replace(work.delivery, state=DeliveryState.FAILED, reason=error.message)
    except Exception:  # noqa: BLE001 (an edge: nobody else is there to be told)
        reference = secrets.token_hex(4)
        _log.exception("delivery %s failed (reference %s)", delivery.id, reference)
        reason = f"hostd failed, not the push (reference {reference})"
        ended = replace(work.delivery, state=DeliveryState.FAILED, reason=reason)
    told = await work.tell(ended)
    await platform.db.call(deliveries.finish, replace(ended, report=told, finished_at=platform.now()))


class _Work:
    """One Delivery while it is worked on. The pending status is sent beside the build, and before the last one."""

    def __init__(self, platform: Platform, forge: Forge, app: App, delivery: Delivery) -> None:
        self.delivery = delivery
        self._platform = platform
        self._forge = forge
        self._app = app
        self._pending: asyncio.Task[str] | None = None

    async def run(self) -> Delivery:
        """As it ended. Raises as a push does."""
        pulled = await self._pull()
        if pulled.removed:
            return replace(self.delivery, state=DeliveryState.REMOVED)
        if pulled.release is None:
            return replace(self.delivery, state=DeliveryState.SKIPPED, reason=pulled.note)
        environment = await environment_at(self._platform, self._app, self.delivery.branch)
        url = self._platform.names.url(environment) if environment else ""
        return replace(
            self.delivery,
            state=DeliveryState.DEPLOYED,
            reason=pulled.note,
            release=pulled.release.name,
            url=url,
        )

    async def tell(self, ended: Delivery) -> str:
        """Have the commit's last status at the Forge; what came of that."""
        if self._pending:
            await self._pending
        progress = _PROGRESS.get(ended.state)
        if progress is None:
            return ""
        why = ended.reason.partition("; ")[
            0
        ]  # what an app answered stands behind it, and the forge may show it to all
        text = {
            DeliveryState.DEPLOYED: f"{ended.release} is live",
            DeliveryState.SKIPPED: f"not deployed: {why}",
        }.get(ended.state, why)
        url = ended.url or self._platform.names.public_url
        return await report(self._platform, self._forge, ended, progress, text, url)

    def leave(self) -> None:
        """Tell nobody anything any more."""
        if self._pending:
            self._pending.cancel()

    async def _pull(self) -> Pulled:
        platform, delivery, transcript = self._platform, self.delivery, Transcript()
        environment = await environment_at(platform, self._app, delivery.branch)
        deploys = delivery.commit and delivery.what is not What.FORK_CLOSED
        if deploys and environment and (pause := await pause_of(platform, environment)):
            return Pulled(note=f"deploys are paused {pause}")
        user = await platform.db.read(users.by_id, self._forge.user_id)
        if delivery.what is What.BRANCH:
            ref = f"refs/heads/{delivery.branch}"
            wanted = Pull(self._app, user, self._forge, ref, delivery.branch)
            return await pull(platform, wanted, transcript, self._begin)
        wanted = fork_pull(self._app, user, self._forge, delivery.number, delivery.commit)
        if delivery.what is What.FORK_CLOSED:
            return await remove_fork(platform, wanted, transcript)
        transcript.step(f"Pull request {delivery.number}, approved by {delivery.approved_by}")
        return await pull_fork(platform, wanted, transcript, self._begin)

    def _begin(self, commit: str) -> None:
        self.delivery = replace(self.delivery, commit=commit)
        pending = (Progress.PENDING, "building", self._platform.names.public_url)
        self._pending = asyncio.create_task(report(self._platform, self._forge, self.delivery, *pending))
