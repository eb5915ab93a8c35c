"""Autoscaling: looks at Environments that have a rule, once a second, and scales what `desired` wants otherwise.

It is scaling like any other: what is started is healthy before it is routed, what is too much is drained, the next
Release keeps the quantity. Nothing is done to what sleeps or is being changed by somebody else.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hostd.control.access import Action, authorize
from hostd.control.keeper import Keeper
from hostd.control.platform import Platform
from hostd.control.routing import WEB
from hostd.control.scale import apply_formation
from hostd.control.traffic import under_way
from hostd.errors import HostdError, Invalid
from hostd.model.app import App, Environment, User
from hostd.model.autoscale import CALM, SAMPLE, SLOW, AutoscaleRule, Look, Wish, desired
from hostd.model.log import LogLine
from hostd.store import autoscale as rules
from hostd.transcript import Transcript

LOOK_EVERY = 1.0  # seconds
REST = timedelta(seconds=30)  # after a change that failed
_log = logging.getLogger(__name__)


async def autoscale_of(platform: Platform, environment: Environment) -> AutoscaleRule | None:
    """Its rule, if it has one."""
    return (await platform.db.read(rules.every)).get(environment.id)


async def set_autoscale(
    platform: Platform, app: App, actor: User, environment: Environment, changes: Mapping[str, Any]
) -> AutoscaleRule:
    """Change these fields of its rule, or make one of them. Raises Invalid."""
    authorize(actor, Action.SCALE, app)
    keeper = platform.keepers.get(environment.id)
    if keeper and keeper.release.image.process(WEB) is None:
        raise Invalid("only web is autoscaled, and this release has no web process")
    known = await autoscale_of(platform, environment)
    if known is None and "most" not in changes:
        raise Invalid("up to how many?", hint="as: hostd ps autoscale web --min 1 --max 5")
    rule = replace(known or AutoscaleRule(), **changes)
    await platform.db.call(rules.set_rule, environment.id, rule)
    return rule


async def stop_autoscaling(platform: Platform, app: App, actor: User, environment: Environment) -> None:
    """Forget its rule; as many go on as run now."""
    authorize(actor, Action.SCALE, app)
    await platform.db.call(rules.remove, environment.id)


class Autoscaler:
    """Remembers what it saw of each Environment since that last changed."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._looks: dict[int, deque[Look]] = {}
        self._changing: set[int] = set()
        self._resting: dict[int, datetime] = {}  # until when

    async def run(self) -> None:
        """Look every LOOK_EVERY seconds, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look()
            except HostdError as error:
                _log.warning("autoscaling failed: %s", error.message)
            except Exception:  # noqa: BLE001 (a bug met once must not end the autoscaling for good)
                _log.exception("autoscaling failed")

    async def look(self) -> None:
        """Once at every Environment that has a rule."""
        wanted = await self._platform.db.read(rules.every)
        self._looks = {key: looks for key, looks in self._looks.items() if key in wanted}
        for environment_id, rule in wanted.items():
            keeper = self._platform.keepers.get(environment_id)
            if keeper and self._at_rest(keeper):
                await self._look_at(keeper, rule)
            else:
                self._looks.pop(environment_id, None)

    def _at_rest(self, keeper: Keeper) -> bool:
        environment = keeper.environment
        rested = self._resting.get(environment.id)
        return (
            not keeper.asleep
            and keeper.release.image.process(WEB) is not None
            and environment.id not in self._changing
            and not self._platform.lock(environment).locked()
            and (rested is None or self._platform.now() >= rested)
        )

    async def _look_at(self, keeper: Keeper, rule: AutoscaleRule) -> None:
        environment = keeper.environment
        now = self._platform.now().timestamp()
        traffic = self._platform.traffic.of(environment.label, now, SLOW, keeper.release.name)
        p95 = traffic.percentile(95) if traffic.requests >= SAMPLE else None
        looks = self._looks.setdefault(environment.id, deque(maxlen=CALM))
        looks.append(Look(await under_way(self._platform, environment), p95))
        count = sum(1 for process, _ in keeper.places if process == WEB)
        wish = desired(count, list(looks), rule)
        if wish:
            self._changing.add(environment.id)
            self._platform.later(self._change(environment, count, wish))

    async def _change(self, environment: Environment, count: int, wish: Wish) -> None:
        what = f"web {count} -> {wish.count}"
        try:
            await apply_formation(self._platform, environment, {WEB: wish.count}, Transcript())
            self._say(environment, f"autoscaled {what}: {wish.why}")
        except HostdError as error:
            self._resting[environment.id] = self._platform.now() + REST
            self._say(environment, f"autoscaling {what} failed: {error.message}")
        finally:
            self._changing.discard(environment.id)
            self._looks.pop(environment.id, None)

    def _say(self, environment: Environment, text: str) -> None:
        at = self._platform.now().timestamp()
        self._platform.note(LogLine(at, environment.label, "hostd", WEB, "", text))
