"""Routes about the one who asks: who they are, and their Tokens."""

from collections.abc import Sequence
from datetime import timedelta

from fastapi import APIRouter, Request

from hostd.errors import Invalid
from hostd.http.auth import token_in
from hostd.http.gate import GATE, PREFIX, Actor, Works
from hostd.http.models import Id, NewToken, TokenIssued, TokenShown, UserShown
from hostd.store import tokens

router = APIRouter(prefix=PREFIX, tags=["account"], dependencies=GATE)


@router.get("/user")
async def who_am_i(actor: Actor) -> UserShown:
    """The User whose Token this is."""
    return UserShown(name=actor.name, administrator=actor.administrator)


@router.get("/tokens")
async def list_tokens(actor: Actor, platform: Works) -> Sequence[TokenShown]:
    """Your Tokens, newest first, without their secrets."""
    return [TokenShown.model_validate(info) for info in await platform.db.read(tokens.list_of, actor.id)]


@router.post("/tokens", status_code=201)
async def create_token(actor: Actor, platform: Works, request: Request, wanted: NewToken) -> TokenIssued:
    """A new Token of yours. It is shown this once, and lasts no longer than the one it was asked for with."""
    now = platform.now()
    own = token_in(request.headers.get("authorization", "")) or ""
    latest = await platform.db.read(tokens.expiry_of, own)
    expires_at = now + timedelta(days=wanted.expires_in_days) if wanted.expires_in_days else latest
    if latest and expires_at and expires_at > latest:
        raise Invalid(
            f"the token you use expires on {latest:%Y-%m-%d}: one that lasts longer cannot be made with it",
            hint="use a token that lasts, or fewer days",
        )
    token = await platform.db.call(tokens.issue, actor.id, wanted.name, now, expires_at)
    return TokenIssued(name=wanted.name, token=token)


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke_token(actor: Actor, platform: Works, token_id: Id) -> None:
    """From now on this Token opens nothing."""
    await platform.db.call(tokens.revoke, actor.id, token_id, platform.now())
