"""Where an Environment's host goes, as a pure function of its live Release and the Instances that are healthy."""

from collections.abc import Sequence
from pathlib import Path

from hostd.model.app import Environment
from hostd.model.instance import Instance
from hostd.model.release import Release
from hostd.model.route import Route, Share, Target, ToDirectory, ToError, ToInstances

NOTHING_PUSHED = "H81"
NO_WEB_PROCESS = "H14"
CRASHED = "H10"
WEB = "web"


def route_of(
    environment: Environment,
    release: Release | None,
    healthy: Sequence[Instance],
    site: Path | None = None,
    *,
    asleep: bool = False,
    scaled_up: bool = True,
    share: Share | None = None,
) -> Route:
    """The Route of `environment`. `healthy` are its web Instances, `site` the directory of a static Release.

    `scaled_up`: there should be a web Instance, if the Release has such a process at all.
    """
    target = _target(release, healthy, site, asleep=asleep, scaled_up=scaled_up)
    return Route(
        environment.host,
        target,
        environment.app,
        release.name if release else "",
        environment.label,
        noindex=environment.preview,
        password=environment.password,
        share=share,
        https=environment.tls.redirect,
        hsts=environment.tls.hsts,
    )


def _target(
    release: Release | None,
    healthy: Sequence[Instance],
    site: Path | None,
    *,
    asleep: bool,
    scaled_up: bool,
) -> Target:
    if release is None:
        return ToError(NOTHING_PUSHED)
    if release.image.static and site:
        return ToDirectory(str(site), release.image.static.single_page)
    if healthy or asleep:
        return ToInstances(tuple(instance.endpoint for instance in healthy), asleep=asleep)
    return ToError(CRASHED if scaled_up and release.image.process(WEB) else NO_WEB_PROCESS)
