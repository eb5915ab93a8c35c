"""Routes about what runs: Instances, the Formation, logs."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Body, Header, Query
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from hostd.control.logs import LINES_LIMIT
from hostd.control.scale import processes_of, scale
from hostd.control.sleep import set_sleep, sleep_of
from hostd.http.gate import GATE, PREFIX, Actor, Logs, TheApp, TheEnvironment, Works
from hostd.http.models import FormationChanges, ProcessShown, SleepShown
from hostd.http.streaming import log_stream, streamed

router = APIRouter(prefix=PREFIX, tags=["processes"], dependencies=GATE)


@router.get("/apps/{app}/processes")
async def list_processes(environment: TheEnvironment, platform: Works) -> Sequence[ProcessShown]:
    """Every Instance and its state."""
    return [ProcessShown.of(status) for status in processes_of(platform, environment)]


@router.patch("/apps/{app}/formation", response_class=StreamingResponse)
async def change_formation(
    actor: Actor,
    the_app: TheApp,
    environment: TheEnvironment,
    platform: Works,
    changes: Annotated[FormationChanges, Body()],
) -> StreamingResponse:
    """Run so many Instances of these process types. Answers with NDJSON lines, then the whole Formation."""
    return await streamed(
        platform, lambda transcript: scale(platform, the_app, environment, actor, changes, transcript), dict
    )


@router.get("/apps/{app}/sleep")
async def get_sleep(environment: TheEnvironment, platform: Works) -> SleepShown:
    """When it falls asleep."""
    return SleepShown(after=await sleep_of(platform, environment))


@router.patch("/apps/{app}/sleep")
async def patch_sleep(
    actor: Actor,
    the_app: TheApp,
    environment: TheEnvironment,
    platform: Works,
    wanted: Annotated[SleepShown, Body()],
) -> SleepShown:
    """Let it fall asleep after so many seconds without a request, or never."""
    await set_sleep(platform, the_app, actor, environment, wanted.after)
    return SleepShown(after=await sleep_of(platform, environment))


@router.get("/apps/{app}/logs", response_class=PlainTextResponse)
async def logs(
    environment: TheEnvironment,
    book: Logs,
    lines: Annotated[int, Query(ge=0, le=LINES_LIMIT, examples=[100])] = 100,
    process: Annotated[
        str | None, Query(max_length=63, pattern=r"^[A-Za-z0-9_.-]+$", examples=["web"])
    ] = None,
    follow: bool = False,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """The last lines, oldest first; with `follow` also those to come, as server-sent events if accepted."""
    label = environment.label
    if follow:
        return log_stream(book.follow(label, lines, process), "text/event-stream" in accept)
    found = await book.recent(label, lines, process)
    return PlainTextResponse("".join(f"{line}\n" for line in found))
