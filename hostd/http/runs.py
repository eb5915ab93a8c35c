"""Routes about Runs: sitting at one, starting one that goes on by itself, looking at them, ending one."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field, StrictInt

from hostd.control.previews import environment_of
from hostd.control.runs import run_detached, run_of, sit_at, stop_run
from hostd.errors import HostdError
from hostd.http.gate import GATE, PREFIX, Actor, Caller, TheApp, TheEnvironment, Works, pass_socket_gate
from hostd.http.gate import platform as platform_of
from hostd.http.models import Id, Limit, Taken, Text
from hostd.http.problems import problem_of, unexpected
from hostd.http.terminal import Terminal, first_message
from hostd.model.instance import Exit
from hostd.model.push import NAME_LIMIT
from hostd.model.run import Run, Wanted
from hostd.model.task import Size
from hostd.store import runs

gated = APIRouter(prefix=PREFIX, tags=["runs"], dependencies=GATE)
router = APIRouter()


class CommandWanted(Taken):
    """A command: one word is a line for bash, several are these very words. `env` comes on top of the Release's own."""

    command: list[Text] = Field(min_length=1, max_length=1000, examples=[["python", "manage.py", "migrate"]])
    env: dict[Text, Text] = Field({}, examples=[{"DEBUG": "1"}])
    release: StrictInt | None = Field(None, ge=1, le=2**31, examples=[7])

    def wanted(self) -> Wanted:
        """What the verbs are told."""
        return Wanted(tuple(self.command), self.env, self.release)


class TerminalSize(Taken):
    """Of the terminal one sits at, in characters; `kind` as TERM has it."""

    columns: StrictInt = Field(ge=1, le=65535)
    rows: StrictInt = Field(ge=1, le=65535)
    kind: Text = Field("xterm-256color", pattern=r"^[A-Za-z0-9._+-]{1,64}$")


class RunWanted(CommandWanted):
    """A command to sit at; without a terminal its input and output are pipes."""

    terminal: TerminalSize | None = None

    def wanted(self) -> Wanted:
        """With what programs expect to find at a terminal."""
        if self.terminal is None:
            return super().wanted()
        size = {"COLUMNS": str(self.terminal.columns), "LINES": str(self.terminal.rows)}
        return Wanted(tuple(self.command), {"TERM": self.terminal.kind, **size, **self.env}, self.release)


class RunShown(BaseModel):
    """A Run."""

    id: int = Field(examples=[57])
    name: str = Field(examples=["run.57"])
    job: str = Field(examples=["report"], description="The cron job it is of, or empty.")
    command: str = Field(examples=["python manage.py migrate"])
    author: str = Field(examples=["ada"], description="Who asked; empty for a schedule.")
    trigger: str = Field(examples=["manual"])
    due_at: datetime | None
    release: str = Field(examples=["v12"])
    state: str = Field(examples=["ended"])
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    status: int | None = Field(examples=[0])
    limit: str = Field(examples=[""], description="The limit that ended it, as seconds or memory.")

    @staticmethod
    def of(run: Run) -> "RunShown":
        """The Run as it is shown."""
        return RunShown(**_members(run))


class RunInfo(RunShown):
    """A Run with the end of its output; empty while it runs, and for one that somebody sat at."""

    output: str = Field(examples=["done\n"])


@gated.get("/apps/{app}/runs")
async def list_runs(
    environment: TheEnvironment,
    platform: Works,
    job: Annotated[str | None, Query(max_length=64, description="Of this cron job only.")] = None,
    limit: Limit = 20,
) -> Sequence[RunShown]:
    """The last Runs, newest first."""
    found = await platform.db.read(runs.recent, environment.id, job, limit)
    return [RunShown.of(run) for run in found]


@gated.post("/apps/{app}/runs", status_code=201)
async def start_run(
    actor: Actor,
    the_app: TheApp,
    environment: TheEnvironment,
    platform: Works,
    wanted: Annotated[CommandWanted, Body()],
) -> RunShown:
    """Start a command that goes on by itself; its output goes to the log."""
    return RunShown.of(await run_detached(platform, the_app, environment, actor, wanted.wanted()))


@gated.get("/apps/{app}/runs/{run_id}")
async def run_info(environment: TheEnvironment, platform: Works, run_id: Id) -> RunInfo:
    """One Run, with the end of what it printed."""
    run = await run_of(platform, environment, run_id)
    return RunInfo(**_members(run), output=await platform.db.read(runs.output_of, run_id))


@gated.delete("/apps/{app}/runs/{run_id}", status_code=204)
async def delete_run(
    actor: Actor, the_app: TheApp, environment: TheEnvironment, platform: Works, run_id: Id
) -> None:
    """End a Run. What is known of it stays."""
    await stop_run(platform, the_app, environment, actor, run_id)


@router.websocket(f"{PREFIX}/apps/{{app}}/run")
async def run(
    websocket: WebSocket,
    caller: Annotated[Caller, Depends(pass_socket_gate)],
    preview: Annotated[str | None, Query(max_length=NAME_LIMIT)] = None,
) -> None:
    """Run a command and sit at it; hostd.http.terminal says how."""
    assert caller.app
    platform = platform_of(websocket)
    environment = await environment_of(platform, caller.app, preview)
    await websocket.accept()
    with suppress(
        WebSocketDisconnect, RuntimeError
    ):  # RuntimeError: what Starlette says to who sends after the end
        try:
            wanted: RunWanted = await first_message(websocket, RunWanted)
            size = wanted.terminal
            terminal = Terminal(websocket, Size(size.columns, size.rows) if size else None)

            async def begun(run: Run) -> None:
                await terminal.say({"started": {"name": run.name, "release": f"v{run.release}"}})

            sitting = sit_at(platform, caller.app, environment, caller.user, wanted.wanted(), terminal, begun)
            message: Mapping[str, Any] = {"ended": _ended(await _while_there(sitting, terminal))}
        except HostdError as error:
            message = {"error": problem_of(error)}
        except WebSocketDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 (the edge: the connection is open, so Guard cannot tell of it)
            message = {"error": unexpected(error)}
        await websocket.send_json(message)
        await websocket.close()


async def _while_there(sitting: Any, terminal: Terminal) -> Exit:
    """What comes of `sitting`, which ends when the client goes."""
    work = asyncio.create_task(sitting)
    beating = asyncio.create_task(terminal.beat())
    try:
        done, _ = await asyncio.wait({work, beating}, return_when=asyncio.FIRST_COMPLETED)
        if work in done:
            ended: Exit = work.result()
            return ended
        beating.result()
        raise AssertionError("it beats for ever")
    finally:
        for task in (work, beating):
            task.cancel()
        await asyncio.gather(work, beating, return_exceptions=True)


def _ended(ended: Exit) -> Mapping[str, Any]:
    return {"status": ended.status, "limit": ended.limit, "text": str(ended)}


def _members(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "job": run.job,
        "command": run.command,
        "author": run.author,
        "trigger": "schedule" if run.due_at else "manual",
        "due_at": run.due_at,
        "release": f"v{run.release}",
        "state": run.state,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "status": run.exit.status if run.exit else None,
        "limit": run.exit.limit if run.exit else "",
    }


router.include_router(gated)
