"""Routes about cron jobs. Their Runs are among those of hostd.http.runs, by `job`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body
from fastapi import Path as InPath
from pydantic import BaseModel, Field, StrictBool

from hostd.control.cron import JobStatus, jobs_of, pause_job, run_job
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, TheEnvironment, Works
from hostd.http.models import Taken
from hostd.http.runs import RunShown

router = APIRouter(prefix=PREFIX, tags=["cron"], dependencies=GATE)
Name = Annotated[str, InPath(max_length=64, examples=["report"])]


class CronShown(BaseModel):
    """A cron job."""

    name: str = Field(examples=["report"])
    schedule: str = Field(examples=["0 3 * * *"])
    timezone: str = Field(examples=["Europe/Berlin"])
    command: str = Field(examples=["python report.py"])
    overlap: str = Field(examples=["skip"])
    timeout_seconds: int = Field(examples=[3600])
    paused: bool = Field(examples=[False])
    due: datetime | None
    last: RunShown | None

    @staticmethod
    def of(status: JobStatus) -> "CronShown":
        """The job as it is shown."""
        job = status.job
        return CronShown(
            name=job.name,
            schedule=job.schedule,
            timezone=job.timezone,
            command=job.command,
            overlap=job.overlap,
            timeout_seconds=job.timeout_seconds,
            paused=status.paused,
            due=status.due,
            last=RunShown.of(status.last) if status.last else None,
        )


class CronChanges(Taken):
    """What changes of a cron job."""

    paused: StrictBool = Field(examples=[True])


@router.get("/apps/{app}/cron")
async def list_cron(environment: TheEnvironment, platform: Works) -> Sequence[CronShown]:
    """The cron jobs of what is live, when each is due, and its last Run."""
    return [CronShown.of(status) for status in await jobs_of(platform, environment)]


@router.post("/apps/{app}/cron/{name}/run", status_code=201)
async def run_cron(
    actor: Actor, the_app: TheApp, environment: TheEnvironment, platform: Works, name: Name
) -> RunShown:
    """Run a cron job now."""
    return RunShown.of(await run_job(platform, the_app, environment, actor, name))


@router.patch("/apps/{app}/cron/{name}", status_code=204)
async def patch_cron(
    actor: Actor,
    the_app: TheApp,
    environment: TheEnvironment,
    platform: Works,
    name: Name,
    changes: Annotated[CronChanges, Body()],
) -> None:
    """Let a cron job rest, or be due again from now on."""
    await pause_job(platform, the_app, environment, actor, name, changes.paused)
