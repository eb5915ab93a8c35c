"""What the API gives of Releases, with an example of each."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from hostd.http.models import Taken
from hostd.model.changes import Changes
from hostd.model.release import Release


class ReleaseChange(Taken):
    """Whether the Release's Image is kept in any case."""

    pinned: StrictBool = Field(examples=[True])


class ReleaseShown(BaseModel):
    """A Release."""

    name: str = Field(examples=["v12"])
    number: int = Field(examples=[12])
    state: str = Field(examples=["live"])
    reason: str = Field(examples=["push of 1a2b3c4 to main"])
    commit: str = Field(examples=["1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"])
    author: str = Field(examples=["admin"])
    created_at: datetime
    failure: str = Field(examples=[""])
    image: str = Field(examples=["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    buildpacks: Sequence[str] = Field(examples=[["python 1.0"]])
    processes: Mapping[str, Sequence[str]] = Field(examples=[{"web": ["bash", "-c", "gunicorn app:app"]}])
    repeats: str | None = Field(None, description="The release it is a rollback to.", examples=["v7"])
    pinned: bool = Field(examples=[False])

    @staticmethod
    def of(release: Release) -> "ReleaseShown":
        """The Release as it is shown: its config is not part of it."""
        return ReleaseShown(**_release_members(release))


class CommitShown(BaseModel):
    """A commit."""

    model_config = ConfigDict(from_attributes=True)
    commit: str = Field(examples=["1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"])
    summary: str = Field(examples=["Say hello"])


class NamesShown(BaseModel):
    """What became of names. Values are not shown."""

    model_config = ConfigDict(from_attributes=True)
    added: Sequence[str] = Field(examples=[["GREETING"]])
    changed: Sequence[str] = Field(examples=[["DATABASE_URL"]])
    removed: Sequence[str] = Field(examples=[["OLD_NAME"]])


class ChangesShown(BaseModel):
    """What a Release changed against `since`, the one that served before it; "" for the first."""

    model_config = ConfigDict(from_attributes=True)
    since: str = Field(examples=["v11"])
    commits: Sequence[CommitShown]
    withdrawn: Sequence[CommitShown] = Field(description="What it went back behind, newest first.")
    config: NamesShown
    processes: NamesShown
    same_image: bool = Field(examples=[False])


class ReleaseInfo(ReleaseShown):
    """A Release, what it changed, and the Transcript of the Build that led to it; null for one made without.

    `url` is where it answers as long as its image is kept; null for what never went live, and in previews.
    """

    url: str | None = Field(examples=["http://v12--shop.localhost:8080"])
    changes: ChangesShown
    build: int | None = Field(examples=[31])
    transcript: str | None = Field(examples=["-----> python 1.0"])

    @staticmethod
    def with_changes(
        release: Release, url: str | None, changes: Changes, build: int | None, transcript: str | None
    ) -> "ReleaseInfo":
        """The Release as it is shown, with its Build."""
        shown = ChangesShown.model_validate(changes)
        members = _release_members(release)
        return ReleaseInfo(**members, url=url, changes=shown, build=build, transcript=transcript)


def _release_members(release: Release) -> dict[str, Any]:
    image = release.image
    return {
        "name": release.name,
        "number": release.number,
        "state": release.state,
        "reason": release.reason,
        "commit": release.commit,
        "author": release.author,
        "created_at": release.created_at,
        "failure": release.failure,
        "image": image.digest,
        "repeats": f"v{release.repeats}" if release.repeats else None,
        "pinned": release.pinned,
        "buildpacks": image.buildpacks,
        "processes": {process.name: process.command for process in image.processes},
    }
