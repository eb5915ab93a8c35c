"""hostd.toml: its reference file is true, and every refusal names the line."""

from pathlib import Path

import pytest

from hostd.errors import BuildFailed
from hostd.model import manifest, toml
from hostd.model.canary import CanaryRule
from hostd.model.cron import CronJob
from hostd.model.health import HealthCheck
from hostd.model.image import ProcessType, StaticSite
from hostd.model.manifest import Manifest
from hostd.model.terms import Terms

REFERENCE = Path(__file__).parents[2] / "docs" / "hostd.reference.toml"


def test_the_reference_file_shows_every_key_and_is_accepted() -> None:
    content = REFERENCE.read_bytes()
    assert manifest.parse(content) == Manifest(
        build_command="make site",
        processes=(
            ProcessType("web", ("bash", "-c", "gunicorn --bind 0.0.0.0:$PORT app:app")),
            ProcessType("worker", ("python", "worker.py")),
            ProcessType("clock", ("bash", "-c", "python clock.py")),
        ),
        static=StaticSite("public"),
        health=HealthCheck("/readyz", "all systems go", 60, 3, "/healthz", 10, 3),
        terms={
            "": Terms(512, 1.5, 30),
            "worker": Terms(256, grace_seconds=120),
            "clock": Terms(overlap="no"),
        },
        canary=CanaryRule(10, 300, 1.0, 800),
        cron_jobs=(CronJob("report", "30 3 * * MON-FRI", "python report.py", "Europe/Berlin"),),
    )
    tables = toml.parse(content, "reference")
    shown = {name: set(table[0] if name == "cron" else table) for name, table in tables.items()}
    known = {name: set(keys) for name, keys in manifest.KEYS.items()}
    assert shown | {"processes": set()} == known | {"limits": known["limits"] | {"worker"}}


def test_an_empty_file_says_nothing() -> None:
    assert manifest.parse(b"") == Manifest()
    assert manifest.parse(b"\xef\xbb\xbf# a comment\r\n").labels == {}


def test_what_a_rollout_needs_becomes_labels() -> None:
    assert manifest.parse(
        b'[health]\npath = "/up"\ntimeout_seconds = 5\n[limits]\nmemory_mb = 64'
    ).labels == {
        "hostd.health.path": "/up",
        "hostd.health.timeout-seconds": "5",
        "hostd.limits.memory-mb": "64",
    }


def test_a_canary_table_that_is_empty_means_the_usual_one_and_nothing_wrong_is_taken() -> None:
    assert manifest.parse(b"[canary]").canary == CanaryRule()
    assert manifest.parse(b"[canary]\nmax_5xx_percent = 0").canary == CanaryRule(max_5xx_percent=0.0)
    assert manifest.parse(b"[canary]\nweight = 20").labels["hostd.canary.weight"] == "20"
    for wrong in (
        "weight = 0",
        "weight = 100",
        "weight = '10'",
        "seconds = 1801",
        "seconds = nan",
        "wait = 3",
    ):
        with pytest.raises(BuildFailed, match=r"^hostd.toml:2: "):
            manifest.parse(f"[canary]\n{wrong}".encode())
    for percent in ("-1", "101", "nan", "inf", "true", "'1'"):
        with pytest.raises(BuildFailed, match=r"^hostd.toml:2: max_5xx_percent: a number from 0 to 100"):
            manifest.parse(f"[canary]\nmax_5xx_percent = {percent}".encode())


def test_a_process_type_may_have_a_table_without_a_command() -> None:
    found = manifest.parse(
        b"[processes.worker]\noverlap = false\n[limits.worker]\ncpus = 2\n[limits]\ncpus = 1"
    )
    assert found.processes == ()
    assert found.terms == {"": Terms(cpus=1), "worker": Terms(cpus=2, overlap="no")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[biuld]\ncommand = 'x'", "hostd.toml:1: biuld: there is no table [biuld]"),
        ("\n[build]\ncomand = 'x'", "hostd.toml:3: comand: there is no key comand in [build]"),
        ("build = 3", "hostd.toml:1: build: build is a table: write [build]"),
        ("[build]\n# x\ncommand = 3", "hostd.toml:3: command: a text in quotes"),
        ("[processes]\nweb = ''", "hostd.toml:2: web: a command is a line or a list of words, and not empty"),
        ("[processes]\nweb = []", "hostd.toml:2: web: a command is a line or a list of words, and not empty"),
        ("[health]\npath = 'up'", "hostd.toml:2: path: a path starts with / and holds no spaces"),
        ('[health]\npath = "/a\\r\\nb"\n', "hostd.toml:2: path: a path starts with / and holds no spaces"),
        (
            "[health]\ntimeout_seconds = 2361183241434822606848",
            "hostd.toml:2: timeout_seconds: a whole number from 1 to 600",
        ),
        ("[limits]\nmemory_mb = true", "hostd.toml:2: memory_mb: a whole number from 32 to 16384"),
        ("limits.memory_mb = nan", "hostd.toml:1: memory_mb: a whole number from 32 to 16384"),
        (
            "[static]\nroot = '../etc'",
            "hostd.toml:2: root: the static root '../etc' is not a directory inside the app",
        ),
        (
            "[static]\nroot = '/etc'",
            "hostd.toml:2: root: the static root '/etc' is not a directory inside the app",
        ),
        ("[limits]\ncpus = nan", "hostd.toml:2: cpus: a number from 0.05 to 256"),
        ("[limits]\ncpus = 0", "hostd.toml:2: cpus: a number from 0.05 to 256"),
        ("[limits.worker]\ngrace_seconds = 301", "hostd.toml:2: grace_seconds: a whole number from 1 to 300"),
        ("[limits.worker]\nmemory = 1", "hostd.toml:2: memory: there is no key memory in [limits.worker]"),
        ("[limits]\nmemory = 1", "hostd.toml:2: memory: there is no key memory in [limits]"),
        ("[limits]\nworker = 1", "hostd.toml:2: worker: there is no key worker in [limits]"),
        (
            '\n[limits."a b"]\nmemory_mb = 64',
            "hostd.toml:1: a b: 'a b' is not a process type: letters, digits, - and _, at most 63",
        ),
        ("[processes.web]\noverlap = 1", "hostd.toml:2: overlap: true or false, without quotes"),
        (
            "[processes.web]\noverlap = false",
            "hostd.toml:2: overlap: web has to overlap: requests would fail in between",
        ),
        ("[processes.web]\nport = 1", "hostd.toml:2: port: there is no key port in [processes.web]"),
        (
            "\n[processes.web]\ncommand = 1",
            "hostd.toml:2: web: a command is a line or a list of words, and not empty",
        ),
        ("[health]\nexpect = 'a\tb'", "hostd.toml:2: expect: one line of at most 1000 characters"),
        ("[health]\nliveness = 'up'", "hostd.toml:2: liveness: a path starts with / and holds no spaces"),
        ("[health]\nfailures = 0", "hostd.toml:2: failures: a whole number from 1 to 100"),
        ("[static]\nsingle_page = 'no'", "hostd.toml:2: single_page: true or false, without quotes"),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused_with_the_line(content: str, message: str) -> None:
    with pytest.raises(BuildFailed) as refusal:
        manifest.parse(content.encode())
    assert refusal.value.message == message
    assert refusal.value.hint


def test_a_key_that_is_almost_right_gets_a_hint() -> None:
    with pytest.raises(BuildFailed) as refusal:
        manifest.parse(b"[build]\ncomand = 'x'")
    assert refusal.value.hint == "did you mean command?"


def test_a_static_root_is_put_in_its_plainest_form() -> None:
    assert manifest.static_site("./dist//site/", True) == StaticSite("dist/site", single_page=True)
    assert manifest.static_site("", False) == StaticSite(".")
