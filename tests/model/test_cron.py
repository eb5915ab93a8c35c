"""Schedules: which are understood, when they are due, and what is said of those that make no sense."""

import json
from datetime import UTC, datetime

import pytest

from hostd.errors import BuildFailed, Invalid
from hostd.model import manifest
from hostd.model.cron import CronJob, Overlap, check_schedule, check_timezone, jobs_in, read_app_json


def toml(*lines: str) -> bytes:
    return "\n".join(("[build]", 'command = "make"', "[[cron]]", *lines)).encode()


def dues(job: CronJob, start: str, count: int) -> list[str]:
    """The next `count` times that it is due, in UTC."""
    moment, found = datetime.fromisoformat(start).replace(tzinfo=UTC), []
    for _ in range(count):
        following = job.next_after(moment)
        assert following
        moment = following
        found.append(f"{moment:%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("schedule", "rule"),
    [
        ("60 * * * *", "field minute: 0-59"), ("* 24 * * *", "field hour: 0-23"), ("* * 0 * *", "field day-of-month"),
        ("* * * 13 *", "field month"), ("* * * * 8", "field day-of-week"), ("*/0 * * * *", "field minute"),
        ("5-1 * * * *", "field minute"), ("* * 31 2 *", "never fires"), ("0 0 30 FEB *", "never fires"),
        ("* * * * * *", "6 fields; a schedule has 5"), ("", "1 fields"), ("@reboot", "there is no schedule '@reboot'"),
        ("@every 1s", "there is no schedule"), ("* * * *", "4 fields"), ("a b c d e", "field minute"),
        ("-1 * * * *", "field minute"), ("٣ * * * *", "field minute"), ("1" * 5000 + " * * * *", "longer than 200"),
    ],
)  # fmt: skip
def test_a_schedule_that_makes_no_sense_is_refused(schedule: str, rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        check_schedule(schedule)


@pytest.mark.parametrize(
    "schedule", ["* * * * *", "*/5 1-3,7 * JAN MON-FRI", "@daily", "@HOURLY", "0 0 29 2 *", " 0  0 * * 7 "]
)
def test_a_schedule_that_makes_sense_is_taken(schedule: str) -> None:
    check_schedule(schedule)


@pytest.mark.parametrize(
    "zone", ["../x", "Mars/Olympus", "", "Europe/Berlin\0", "/etc/passwd", "Europe", "a/b/c/d"]
)
def test_a_time_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(Invalid, match="unknown time zone"):
        check_timezone(zone)


def test_daylight_saving_skips_nothing_and_repeats_nothing() -> None:
    job = CronJob("a", "30 2 * * *", "x", "Europe/Berlin")
    assert dues(job, "2026-03-28T00:00", 3) == ["03-28 01:30", "03-29 01:00", "03-30 00:30"]
    assert dues(job, "2026-10-24T00:00", 3) == ["10-24 00:30", "10-25 00:30", "10-26 01:30"]


def test_what_is_due_every_half_hour_is_so_in_the_hour_that_comes_twice() -> None:
    job = CronJob("a", "*/30 * * * *", "x", "Europe/Berlin")
    assert dues(job, "2026-10-25T00:00", 4) == ["10-25 00:30", "10-25 01:00", "10-25 01:30", "10-25 02:00"]


def test_jobs_are_read_from_hostd_toml_and_travel_as_a_label() -> None:
    clean = (
        'command = "b"',
        'name = "clean"',
        'timezone = "Asia/Tokyo"',
        'overlap = "replace"',
        "timeout_seconds = 60",
    )
    first = ('schedule = "@daily"', 'command = "python a.py --all"')
    text = toml(*first, "[[cron]]", 'schedule = "0 4 * * *"', *clean)
    read = manifest.parse(text)
    assert read.cron_jobs == (
        CronJob("python-a-py-all", "@daily", "python a.py --all"),
        CronJob("clean", "0 4 * * *", "b", "Asia/Tokyo", Overlap.REPLACE, 60),
    )
    assert jobs_in(read.labels) == read.cron_jobs
    assert jobs_in({}) == ()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (('schedule = "60 * * * *"', 'command = "x"'), "hostd.toml:4: field minute: 0-59"),
        (('command = "x"',), "hostd.toml:3: a cron job needs a schedule"),
        (('schedule = "@daily"', 'command = " "'), "hostd.toml:5: the command is empty"),
        (('schedule = "@daily"', 'command = "a\\u0000b"'), "hostd.toml:5: the command is one line"),
        (('schedule = "@daily"', 'command = "a\\nb"'), "hostd.toml:5: the command is one line"),
        (('schedule = "@daily"', 'command = "x"', 'name = "No Good"'), "hostd.toml:6: 'No Good' is not a name"),
        (('schedule = "@daily"', 'command = "x"', 'timezone = "../x"'), "hostd.toml:6: unknown time zone"),
        (('schedule = "@daily"', 'command = "x"', 'overlap = "kill"'), "hostd.toml:6: overlap is one of"),
        (('schedule = "@daily"', 'command = "x"', "timeout_seconds = 0"), "hostd.toml:6: timeout_seconds"),
        (('schedule = "@daily"', 'command = "x"', "colour = 1"), "hostd.toml:6: there is no key 'colour'"),
        (('schedule = 5', 'command = "x"'), "hostd.toml:4: schedule is a text in quotes"),
    ],
)  # fmt: skip
def test_a_job_that_makes_no_sense_is_refused_with_its_line(lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(BuildFailed) as refused:
        manifest.parse(toml(*lines))
    assert refused.value.message.startswith(message)


def test_ten_thousand_jobs_are_too_many() -> None:
    with pytest.raises(BuildFailed, match="more than 100 cron jobs"):
        manifest.parse(b'[[cron]]\nschedule="@daily"\ncommand="x"\n' * 10_000)


def test_two_jobs_of_one_name_are_refused_and_those_without_get_names_of_their_own() -> None:
    entry = {"schedule": "@daily", "command": "x y"}
    named = read_app_json(json.dumps({"cron": [entry] * 3}).encode())
    assert [job.name for job in named] == ["x-y", "x-y-2", "x-y-3"]
    with pytest.raises(BuildFailed, match=r"app\.json: cron 2: a is there twice"):
        read_app_json(json.dumps({"cron": [entry | {"name": "a"}] * 2}).encode())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "it is not JSON"), (b"\xff", "not JSON in UTF-8"), (b'{"cron": {}}', "cron is a list"),
        (b'{"cron": ["a"]}', "cron is a list"),
        (b'{"cron": [{"schedule": "* * 31 2 *", "command": "x"}]}', "never fires"),
        (b'{"cron": [{"schedule": "@daily", "command": "\\ud800"}]}', "half of a surrogate pair"),
    ],
)  # fmt: skip
def test_an_app_json_that_makes_no_sense_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(BuildFailed, match=message):
        read_app_json(text)


def test_an_app_json_about_other_things_has_no_jobs() -> None:
    assert read_app_json(b'{"expo": {"name": "x"}}') == read_app_json(b"[]") == ()
