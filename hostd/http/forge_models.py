"""What the API takes and gives about forges."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, StrictStr

from hostd.control.forges import Connected
from hostd.http.models import Taken, Text
from hostd.model.forge import DeliveryState, Forge, Kind, What


class NewForge(Taken):
    """A repository to follow. Without `api`, statuses go to where that kind of forge takes them."""

    repository: Text = Field(max_length=500, examples=["https://github.com/me/shop.git"])
    kind: StrictStr = Field(examples=["github"])
    token: StrictStr = Field("", max_length=1024, examples=["ghp_..."])
    api: Text = Field("", max_length=500, examples=["https://github.example.org/api/v3"])


class TheBranch(Taken):
    """A branch at the forge."""

    branch: Text = Field(min_length=1, max_length=250, examples=["main"])


class ForgeShown(BaseModel):
    """What an App follows, and the webhook's URL."""

    repository: str = Field(examples=["https://github.com/me/shop.git"])
    kind: Kind
    api: str = Field(examples=["https://api.github.com"])
    webhook: str = Field(examples=["https://hostd.example.org/webhooks/forge/5f0c..."])
    has_token: bool
    created_at: datetime

    @staticmethod
    def of(forge: Forge, webhook: str) -> "ForgeShown":
        """A Forge, without what is secret."""
        return ForgeShown(
            repository=forge.repository,
            kind=forge.kind,
            api=forge.api,
            webhook=webhook,
            has_token=forge.token is not None,
            created_at=forge.created_at,
        )


class ForgeConnected(BaseModel):
    """The webhook to enter at the forge: the only time that its secret is shown."""

    webhook: str = Field(examples=["https://hostd.example.org/webhooks/forge/5f0c..."])
    secret: str = Field(examples=["whsec_..."])

    @staticmethod
    def of(connected: Connected) -> "ForgeConnected":
        """What was connected."""
        return ForgeConnected(webhook=connected.webhook, secret=connected.secret)


class DeliveryShown(BaseModel):
    """What a forge delivered, and what became of it."""

    model_config = ConfigDict(from_attributes=True)
    id: int = Field(examples=[12])
    what: What
    branch: str = Field(examples=["main"])
    commit: str
    number: int = Field(description="Of a fork's pull request; else 0.")
    state: DeliveryState
    reason: str
    release: str = Field(examples=["v7"])
    url: str
    report: str = Field(description="How telling the forge went.")
    approved_by: str
    received_at: datetime
    finished_at: datetime | None
