"""Stopping Instances: they are asked, given their time, and what had to be killed is told in the app's log."""

import asyncio
from collections.abc import Sequence

from hostd.control.launching import grace_of
from hostd.control.platform import Platform
from hostd.model.instance import Instance
from hostd.model.log import LogLine


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
