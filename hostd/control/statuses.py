"""Telling a Forge what became of a commit."""

from hostd.control.forges import token_of
from hostd.control.platform import Platform
from hostd.errors import HostdError
from hostd.forges import reporting
from hostd.forges.dialects import DIALECTS
from hostd.model.forge import CommitStatus, Delivery, Forge, Progress, What, path_of
from hostd.store import apps


async def report(
    platform: Platform, forge: Forge, delivery: Delivery, progress: Progress, description: str, url: str
) -> str:
    """Set the commit's status. What came of it, for the Delivery's record; never raises for a forge that refuses."""
    token = token_of(platform, forge)
    if not token or not delivery.commit:
        return "" if not delivery.commit else "not told: there is no token"
    app = await platform.db.read(apps.by_id, forge.app_id)
    production = delivery.what is What.BRANCH and delivery.branch == app.production_branch
    context = f"hostd/{'production' if production else 'preview'}"
    status = CommitStatus(delivery.commit, progress, url, description, context)
    call = DIALECTS[forge.kind].status(forge.api, path_of(forge.repository), token, status)
    try:
        failure = await reporting.send(call, private=platform.private_forges)
    except HostdError as error:
        failure = error.message
    return failure or f"told: {progress}"
