"""What the API takes and gives, with an example of each. Only the edge knows these."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from hostd.control.apps import AppDetails
from hostd.control.previews import PreviewDetails
from hostd.control.scale import QUANTITY_LIMIT
from hostd.model.build import Build
from hostd.model.instance import ProcessStatus
from hostd.model.names import whole
from hostd.model.preview import DAYS_LIMIT, PASSWORD_LONGEST, PreviewSettings


def _whole(text: str) -> str:
    if not whole(text):
        raise ValueError("there is half of a surrogate pair in it")
    return text


Text = Annotated[StrictStr, AfterValidator(_whole)]
Id = Annotated[int, Path(ge=1, le=2**53)]
Limit = Annotated[int, Query(ge=1, le=200, examples=[20])]
Quantity = Annotated[StrictInt, Field(ge=0, le=QUANTITY_LIMIT)]
FormationChanges = Annotated[
    dict[StrictStr, Quantity], Field(min_length=1, max_length=50, examples=[{"web": 2, "worker": 1}])
]


class Taken(BaseModel):
    """What comes in: a member that there is none of is refused."""

    model_config = ConfigDict(extra="forbid")


class NewApp(Taken):
    """An App to create."""

    name: StrictStr = Field(examples=["shop"])


class AppChanges(Taken):
    """What changes of an App."""

    production_branch: Text = Field(min_length=1, max_length=250, examples=["main"])


class ThePreview(Taken):
    """A Preview, by its branch or its name."""

    branch: Text = Field(min_length=1, max_length=250, examples=["feature/login"])


class PreviewSettingsChanges(Taken):
    """What changes for all Previews of an App; what is not there stays. A password of "" takes it away."""

    enabled: StrictBool | None = Field(None, examples=[True])
    days: StrictInt | None = Field(None, ge=1, le=DAYS_LIMIT, examples=[7])
    password: Text | None = Field(None, max_length=PASSWORD_LONGEST, examples=["correct horse battery"])


class NewToken(Taken):
    """A Token to create."""

    name: StrictStr = Field(min_length=1, max_length=64, pattern=r"^[\x20-\x7e]+$", examples=["laptop"])
    expires_in_days: StrictInt | None = Field(None, ge=1, le=3650, examples=[90])


class RollbackTo(Taken):
    """The Release to go back to; without a number, the one before the live one. Deploys are paused by it or not."""

    number: StrictInt | None = Field(None, ge=1, le=2**31, examples=[7])
    pause: StrictBool = Field(True, description="Pause deploys until they are resumed.", examples=[True])


class UserShown(BaseModel):
    """A User."""

    name: str = Field(examples=["admin"])
    administrator: StrictBool = Field(examples=[True])


class TokenShown(BaseModel):
    """A Token without its secret."""

    model_config = ConfigDict(from_attributes=True)
    id: int = Field(examples=[3])
    name: str = Field(examples=["laptop"])
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class TokenIssued(BaseModel):
    """A new Token: the only time it is shown."""

    name: str = Field(examples=["laptop"])
    token: str = Field(examples=["hst_mzxw6ytboi4dcmrtgq2tknrxha4q"])


class NewKey(Taken):
    """An SSH key to add: a line as in a .pub file. Without a name it is called as its comment says."""

    key: StrictStr = Field(max_length=16384, examples=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI... ada@laptop"])
    name: StrictStr | None = Field(
        None, min_length=1, max_length=64, pattern=r"^[\x20-\x7e]+$", examples=["laptop"]
    )


class KeyShown(BaseModel):
    """An SSH key."""

    model_config = ConfigDict(from_attributes=True)
    id: int = Field(examples=[3])
    name: str = Field(examples=["ada@laptop"])
    type: str = Field(examples=["ssh-ed25519"])
    fingerprint: str = Field(examples=["SHA256:jCHdfIMnNbEqNiGfP5n1KQ5A0wGkkgZ9bG7B5BO5mXo"])
    created_at: datetime
    last_used_at: datetime | None


class AppShown(BaseModel):
    """An App."""

    name: str = Field(examples=["shop"])
    url: str = Field(examples=["http://shop.localhost:8080"])
    git_url: str = Field(examples=["http://localhost:8081/shop.git"])
    ssh_url: str | None = Field(examples=["ssh://git@localhost:2222/shop.git"])
    production_branch: str = Field(examples=["main"])
    created_at: datetime

    @staticmethod
    def of(details: AppDetails) -> "AppShown":
        """The App as it is shown."""
        app = details.app
        return AppShown(
            name=app.name,
            url=details.url,
            git_url=details.git_url,
            ssh_url=details.ssh_url,
            production_branch=app.production_branch,
            created_at=app.created_at,
        )


class AppInfo(AppShown):
    """An App, and what is live."""

    release: str | None = Field(examples=["v12"])
    formation: Mapping[str, int] = Field(examples=[{"web": 1}])


class PreviewShown(BaseModel):
    """A Preview."""

    name: str = Field(examples=["feature-login-0d9c2b6a"])
    branch: str = Field(examples=["feature/login"])
    url: str = Field(examples=["http://feature-login-0d9c2b6a--shop.localhost:8080"])
    release: str | None = Field(examples=["v3"])
    commit: str | None = Field(examples=["1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"])
    last_push: datetime
    expires: datetime

    @staticmethod
    def of(details: PreviewDetails) -> "PreviewShown":
        """The Preview as it is shown."""
        return PreviewShown(
            name=details.environment.name,
            branch=details.environment.branch,
            url=details.url,
            release=details.release.name if details.release else None,
            commit=details.release.commit if details.release else None,
            last_push=details.last_push,
            expires=details.expires,
        )


class PreviewSettingsShown(BaseModel):
    """What holds for all Previews of an App. The password itself is nowhere."""

    enabled: bool = Field(examples=[True])
    days: int = Field(examples=[7])
    has_password: bool = Field(examples=[False])

    @staticmethod
    def of(settings: PreviewSettings) -> "PreviewSettingsShown":
        """The settings as they are shown."""
        return PreviewSettingsShown(
            enabled=settings.enabled, days=settings.days, has_password=bool(settings.password)
        )


class BuildShown(BaseModel):
    """A Build."""

    id: int = Field(examples=[31])
    state: str = Field(examples=["succeeded"])
    commit: str = Field(examples=["1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"])
    author: str = Field(examples=["admin"])
    started_at: datetime
    finished_at: datetime | None
    reason: str = Field(examples=[""])
    release: str | None = Field(examples=["v12"])

    @staticmethod
    def of(build: Build) -> "BuildShown":
        """The Build as it is shown."""
        return BuildShown(**_build_members(build))


class BuildInfo(BuildShown):
    """A Build with its Transcript; empty while it runs."""

    transcript: str = Field(examples=["-----> python 1.0"])

    @staticmethod
    def with_transcript(build: Build, transcript: str) -> "BuildInfo":
        """The Build as it is shown, with its Transcript."""
        return BuildInfo(**_build_members(build), transcript=transcript)


class ProcessShown(BaseModel):
    """A running copy of a process type."""

    model_config = ConfigDict(from_attributes=True)
    process: str = Field(examples=["web"])
    instance_id: str = Field(examples=["shop-production-web-v12-3f9a"])
    state: str = Field(examples=["running"])
    since: datetime
    release: str = Field(examples=["v12"])
    command: str = Field(examples=["gunicorn app:app"])
    restarts: int = Field(examples=[0])
    endpoint: str = Field(examples=["10.77.0.5:8080"])

    @staticmethod
    def of(status: ProcessStatus) -> "ProcessShown":
        """The Instance as it is shown."""
        return ProcessShown.model_validate(status)


def _build_members(build: Build) -> dict[str, Any]:
    return {
        "id": build.id,
        "state": build.state,
        "commit": build.commit,
        "author": build.author,
        "started_at": build.started_at,
        "finished_at": build.finished_at,
        "reason": build.reason,
        "release": f"v{build.release_number}" if build.release_number else None,
    }


class SleepShown(BaseModel):
    """After how many seconds without a request an Environment sleeps; 0 is never. As a change, null is the default."""

    after: Annotated[StrictInt | None, Field(examples=[900])]
