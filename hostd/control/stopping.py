"""Stopping Instances: they are asked, given their time, and what had to be killed is told in the app's log."""

import asyncio
from collections.abc import Sequence

from hostd.control.launching import grace_of
from hostd.control.platform import Platform
from hostd.control.routing import WEB
from hostd.model.instance import Instance
from hostd.model.log import LogLine

DRAIN_LIMIT = 30.0  # seconds for requests that are under way
LOOK_EVERY = 0.1  # seconds


async def drain(platform: Platform, leaving: Sequence[Instance]) -> None:
    """Wait until nothing is under way to `leaving` (at most DRAIN_LIMIT seconds), then stop them."""
    ids = {instance.id for instance in leaving}
    platform.leaving.update(ids)
    try:
        await quiet(platform, leaving)
        await stop_all(platform, leaving)
    finally:
        platform.leaving.difference_update(ids)


async def quiet(platform: Platform, instances: Sequence[Instance]) -> bool:
    """Wait until nothing is under way to `instances`; False if something still is after DRAIN_LIMIT seconds."""
    endpoints = [instance.endpoint for instance in instances if instance.spec.process == WEB]
    waited = 0.0
    while waited < DRAIN_LIMIT:
        await asyncio.sleep(LOOK_EVERY)
        waited += LOOK_EVERY
        if not endpoints or await platform.router.in_flight(endpoints) == 0:
            return True
    return False


async def stop_all(platform: Platform, instances: Sequence[Instance]) -> None:
    """Stop `instances` side by side, each with the grace that its app asks for."""
    graces = [grace_of(instance) for instance in instances]
    in_time = await asyncio.gather(*map(platform.engine.stop, instances, graces))
    for instance, grace, ended in zip(instances, graces, in_time, strict=True):
        if not ended:
            process = instance.spec.process
            line = f"{process} did not end within {grace:g} s of SIGTERM and was killed (R12)"
            at = platform.now().timestamp()
            platform.note(LogLine(at, instance.spec.environment, "hostd", process, "", line))


async def kill_all(platform: Platform, instances: Sequence[Instance]) -> None:
    """End what never served, at once."""
    await asyncio.gather(*(platform.engine.stop(instance, 0) for instance in instances))
