"""Routes about one's own SSH keys."""

from collections.abc import Sequence

from fastapi import APIRouter

from hostd.control.keys import add_key, list_keys, remove_key
from hostd.http.gate import GATE, PREFIX, Actor, Works
from hostd.http.models import Id, KeyShown, NewKey

router = APIRouter(prefix=PREFIX, tags=["keys"], dependencies=GATE)


@router.get("/keys")
async def list_(actor: Actor, platform: Works) -> Sequence[KeyShown]:
    """Your SSH keys, newest first."""
    return [KeyShown.model_validate(key) for key in await list_keys(platform, actor)]


@router.post("/keys", status_code=201)
async def add(actor: Actor, platform: Works, wanted: NewKey) -> KeyShown:
    """Add a public key: git over SSH with it is you."""
    return KeyShown.model_validate(await add_key(platform, actor, wanted.key, wanted.name))


@router.delete("/keys/{key_id}", status_code=204)
async def remove(actor: Actor, platform: Works, key_id: Id) -> None:
    """From now on this key opens nothing."""
    await remove_key(platform, actor, key_id)
