"""Cron: each time that is due runs once, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hostd.control.apps import create_app, destroy_app, production_of
from hostd.control.cron import Scheduler, jobs_of, pause_job, run_job
from hostd.control.runs import GRACE, adopt_runs, unfollow
from hostd.errors import Conflict, NotFound
from hostd.model.cron import LABEL, UNFINISHED_LIMIT, CronJob, Overlap, to_label
from hostd.model.image import Image
from hostd.model.instance import Exit
from hostd.model.run import Run, RunState
from hostd.store import runs
from tests.control.house import House, image_of
from tests.eventually import until


def with_jobs(*jobs: CronJob) -> Image:
    return image_of({LABEL: to_label(jobs)})


def job(
    command: str = "exit 0", name: str = "report", overlap: Overlap = Overlap.SKIP, **more: int
) -> CronJob:
    return CronJob(name, "0 * * * *", command, overlap=overlap, **more)  # type: ignore[arg-type]


@pytest.fixture
async def at_half_past(house: House) -> AsyncIterator[House]:
    """The clock says half past nine; at the full hours something is due."""
    house.clock[0] = datetime(2026, 6, 1, 9, 30, tzinfo=UTC)
    yield house
    await unfollow(house.platform)


async def pass_time(house: House, scheduler: Scheduler, **time: float) -> None:
    """Let time pass, and look."""
    house.clock[0] += timedelta(**time)
    await scheduler.look()


async def history(house: House, name: str = "report") -> list[Run]:
    """Its Runs, oldest first."""
    found = await house.platform.db.read(runs.recent, house.production.id, name, 100)
    return list(reversed(found))


async def quiet(house: House) -> None:
    await until(lambda: not house.platform.following)


async def test_a_job_runs_once_at_each_time_it_is_due(at_half_past: House) -> None:
    house, scheduler = at_half_past, Scheduler(at_half_past.platform)
    await house.deploy(with_jobs(job("echo hello; exit 3")))
    for minutes in (0, 29, 1, 0, 59, 1, 0.01):
        await pass_time(house, scheduler, minutes=minutes)
        await quiet(house)
    told = await history(house)
    assert [(f"{run.due_at:%H:%M}", run.exit, run.author, run.release) for run in told] == [
        ("10:00", Exit(3), "", 1), ("11:00", Exit(3), "", 1),
    ]  # fmt: skip
    assert await house.platform.db.read(runs.output_of, told[0].id) == "hello\n"
    assert "exited with status 3" in [line.text for line in house.logged if line.process == "cron.report"]


async def test_one_run_makes_up_for_all_that_a_downtime_missed(at_half_past: House) -> None:
    house = at_half_past
    await house.deploy(with_jobs(job()))
    await Scheduler(house.platform).look()
    house.clock[0] += timedelta(hours=7)
    following = Scheduler(house.platform)
    await following.look()
    await following.look()
    await quiet(house)
    assert [f"{run.due_at:%H:%M}" for run in await history(house)] == ["10:00"]
    await pass_time(house, following, hours=1)
    assert len(await history(house)) == 2


async def test_a_clock_that_goes_back_makes_nothing_run_twice(at_half_past: House) -> None:
    house, scheduler = at_half_past, Scheduler(at_half_past.platform)
    await house.deploy(with_jobs(job()))
    for minutes in (0, 31, -60, 60):
        await pass_time(house, scheduler, minutes=minutes)
        await Scheduler(house.platform).look()
        await quiet(house)
    assert len(await history(house)) == 1


async def test_a_job_that_is_new_does_not_make_up_for_the_time_before_it(at_half_past: House) -> None:
    house, scheduler = at_half_past, Scheduler(at_half_past.platform)
    await house.deploy(with_jobs(job()))
    await scheduler.look()
    await house.deploy(with_jobs())
    await pass_time(house, scheduler, hours=3)
    await house.deploy(with_jobs(job()))
    await scheduler.look()
    assert await history(house) == []


async def test_what_runs_yet_is_skipped_joined_or_replaced(at_half_past: House) -> None:
    house, scheduler = at_half_past, Scheduler(at_half_past.platform)
    await house.deploy(with_jobs(*(job("sleep 600", str(overlap), overlap) for overlap in Overlap)))
    await scheduler.look()
    for _ in range(2):
        await pass_time(house, scheduler, hours=1)
        await until(lambda: len(house.running) >= 4)
    await until(lambda: len(house.running) == 5)
    states = {
        name: [run.state for run in await history(house, name)] for name in ("skip", "allow", "replace")
    }
    running, ended = RunState.RUNNING, RunState.ENDED
    assert states == {"skip": [running], "allow": [running, running], "replace": [ended, running]}
    assert any("skipped" in line.text for line in house.logged if line.process == "cron.skip")


async def test_runs_that_may_overlap_do_not_pile_up_without_end(at_half_past: House) -> None:
    house, scheduler = at_half_past, Scheduler(at_half_past.platform)
    await house.deploy(with_jobs(job("sleep 600", overlap=Overlap.ALLOW)))
    await scheduler.look()
    for _ in range(UNFINISHED_LIMIT + 3):
        await pass_time(house, scheduler, hours=1)
    assert len(await history(house)) == UNFINISHED_LIMIT
    assert any("skipped" in line.text for line in house.logged)
    with pytest.raises(Conflict, match="has not ended"):
        await run_job(house.platform, house.app, house.production, house.ada, "report")


async def test_a_run_that_does_not_want_to_end_keeps_no_other_job_waiting(at_half_past: House) -> None:
    house, scheduler = at_half_past, Scheduler(at_half_past.platform)
    stubborn = job("trap '' TERM; sleep 600", overlap=Overlap.REPLACE)
    await house.deploy(with_jobs(stubborn, job(name="other")))
    await scheduler.look()
    await pass_time(house, scheduler, hours=1)
    await until(lambda: "cron.report-v1" in house.running)
    async with asyncio.timeout(GRACE / 2):
        await pass_time(house, scheduler, hours=1)
    assert [f"{run.due_at:%H}" for run in await history(house, "other")] == ["10", "11"]


async def test_what_is_wrong_with_one_apps_jobs_does_not_keep_anothers_from_running(
    at_half_past: House,
) -> None:
    house, scheduler = at_half_past, Scheduler(at_half_past.platform)
    await house.deploy(image_of({LABEL: "["}))
    other = await create_app(house.platform, house.ada, "other")
    theirs = replace(house, app=other, production=await production_of(house.platform, other))
    await theirs.deploy(with_jobs(job()))
    await scheduler.look()
    await pass_time(theirs, scheduler, hours=1)
    assert len(await history(theirs)) == 1


async def test_a_deploy_leaves_a_job_alone_and_the_next_runs_in_the_new_release(at_half_past: House) -> None:
    house, scheduler = at_half_past, Scheduler(at_half_past.platform)
    await house.deploy(with_jobs(job("sleep 600", overlap=Overlap.ALLOW)))
    await scheduler.look()
    await pass_time(house, scheduler, hours=1)
    await until(lambda: "cron.report-v1" in house.running)
    await house.deploy(with_jobs(job("sleep 600", overlap=Overlap.ALLOW)))
    await pass_time(house, scheduler, hours=1)
    await until(lambda: "cron.report-v2" in house.running)
    assert "cron.report-v1" in house.running


async def test_a_job_that_takes_too_long_is_ended(house: House) -> None:
    await house.deploy(with_jobs(replace(job("sleep 600"), timeout_seconds=0)))
    await run_job(house.platform, house.app, house.production, house.ada, "report")
    await quiet(house)
    assert [run.exit for run in await history(house)] == [Exit(143, "seconds")]


async def test_a_run_that_waits_is_started_by_the_next_hostd_and_once(at_half_past: House) -> None:
    house = at_half_past
    house.platform = replace(house.platform, jobs=asyncio.Semaphore(0))
    await house.deploy(with_jobs(job()))
    scheduler = Scheduler(house.platform)
    await scheduler.look()
    await pass_time(house, scheduler, hours=1)
    assert [run.state for run in await history(house)] == [RunState.WAITING]
    await unfollow(house.platform)
    house.platform = replace(house.platform, jobs=asyncio.Semaphore(1))
    await adopt_runs(house.platform)
    await Scheduler(house.platform).look()
    await quiet(house)
    assert [run.exit for run in await history(house)] == [Exit(0)]


async def test_a_hundred_jobs_due_at_once_run_once_each_and_few_at_a_time(at_half_past: House) -> None:
    house, scheduler = at_half_past, Scheduler(at_half_past.platform)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(house.running))
            await asyncio.sleep(0)

    await house.deploy(with_jobs(*(job(name=f"job-{number}") for number in range(100))))
    await scheduler.look()
    watching = asyncio.create_task(watch())
    await pass_time(house, scheduler, hours=1)
    await quiet(house)
    watching.cancel()
    found = await house.platform.db.read(runs.recent, house.production.id, None, 300)
    assert sorted(run.job for run in found) == sorted(f"job-{number}" for number in range(100))
    assert most <= 1 + 4


async def test_a_paused_job_rests_and_does_not_catch_up_when_it_is_resumed(at_half_past: House) -> None:
    house, scheduler = at_half_past, Scheduler(at_half_past.platform)
    await house.deploy(with_jobs(job()))
    await scheduler.look()
    verb = (house.platform, house.app, house.production, house.ada, "report")
    await pause_job(*verb, paused=True)
    await pass_time(house, scheduler, hours=2)
    assert [status.due for status in await jobs_of(house.platform, house.production)] == [None]
    await pause_job(*verb, paused=False)
    await scheduler.look()
    assert await history(house) == []
    await pass_time(house, scheduler, hours=1)
    assert len(await history(house)) == 1


async def test_a_job_can_be_run_by_hand(at_half_past: House) -> None:
    house = at_half_past
    await house.deploy(with_jobs(job("sleep 600")))
    run = await run_job(house.platform, house.app, house.production, house.ada, "report")
    await until(lambda: "cron.report-v1" in house.running)
    assert (run.author, run.due_at) == ("ada", None)
    with pytest.raises(Conflict, match=r"cron\.report\.1 has not ended"):
        await run_job(house.platform, house.app, house.production, house.ada, "report")
    with pytest.raises(NotFound, match="there is no cron job 'other'"):
        await run_job(house.platform, house.app, house.production, house.ada, "other")
    (status,) = await jobs_of(house.platform, house.production)
    assert status.last and status.last.id == run.id


async def test_destroying_the_app_ends_what_runs_and_what_waits(at_half_past: House) -> None:
    house, scheduler = at_half_past, Scheduler(at_half_past.platform)
    await house.deploy(with_jobs(*(job("sleep 600", f"job-{number}") for number in range(10))))
    await scheduler.look()
    await pass_time(house, scheduler, hours=1)
    await until(lambda: len(house.running) == 5)
    await destroy_app(house.platform, house.app, house.ada, "shop")
    await scheduler.look()
    assert (house.engine.running, house.platform.following) == ([], {})
