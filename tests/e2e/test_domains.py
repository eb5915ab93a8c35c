"""Domains against a real DNS server, a real router and the real command line."""

import itertools
import json
from collections.abc import Iterator

import pytest

from tests.e2e.server import Project, Server, serving, wait_for
from tests.e2e.test_push import app
from tests.e2e.test_sleep import sleep_after, state
from tests.names import Names, naming

WWW = "www.example.com"


@pytest.fixture(scope="module")
def names() -> Iterator[Names]:
    with naming() as running:
        yield running


@pytest.fixture(scope="module")
def named(names: Names) -> Iterator[Server]:
    """A hostd that looks names up there."""
    with serving(HOSTD_DNS_RESOLVER=names.address) as running:
        running.cli("login", running.url, "--token", running.token)
        yield running
        assert "Traceback" not in running.log(), running.log()[-5000:]


_numbers = itertools.count(1)


@pytest.fixture
def project(named: Server) -> Project:
    """An App of its own for each test, and each try of it."""
    return named.create(f"shop-{next(_numbers)}")


def ask(project: Project, host: str) -> str:
    """What is answered at `host`."""
    return project.get(headers={"Host": host}).text


def listed(project: Project) -> dict[str, str]:
    """Each domain and whether it is proved or pending."""
    lines = project.server.cli("domains", "-a", project.name).splitlines()[1:]
    return {line.split()[0]: line.split()[2].strip(":,") for line in lines}


def test_a_domain_is_claimed_proved_served_through_deploys_and_removed(
    project: Project, named: Server, names: Names
) -> None:
    project.deploy(app("first"))
    printed = named.cli("domains", "add", "WWW.Example.com", "-a", project.name)
    assert "www.example.com: pending: www.example.com has no address" in printed
    record = next(line.split() for line in printed.splitlines() if line.startswith("_hostd."))
    assert "No such app" in ask(project, WWW)
    names.text(record[0], record[2])
    assert "www.example.com: proved" in named.cli("domains", "check", WWW, "-a", project.name)
    assert ask(project, WWW) == "first"
    project.deploy(app("second"))
    assert ask(project, WWW) == "second"

    named.terminate()
    named.start()
    assert ask(project, WWW) == "second"
    other = named.create(f"{project.name}-other")
    refused = named.cli("domains", "add", WWW, "-a", other.name, status=4)
    assert "another app has proved that it owns it" in refused

    sleep_after(project, 1)
    wait_for(lambda: state(project) == "frozen", 15, "it did not fall asleep")
    assert ask(project, WWW) == "second"
    named.cli("domains", "remove", WWW, "-a", project.name)
    assert "No such app" in ask(project, WWW)


def test_a_name_that_leads_here_is_proved_by_itself(project: Project, named: Server, names: Names) -> None:
    project.deploy(app("here"))
    names.address_of(f"{project.name}.localhost", "127.0.0.1")
    named.cli("domains", "add", "here.example.com", "-a", project.name)
    assert listed(project) == {"here.example.com": "pending"}
    names.address_of("here.example.com", "127.0.0.1")
    names.address_of("elsewhere.example.com", "127.0.0.2")
    assert "proved" in named.cli("domains", "check", "here.example.com", "-a", project.name)
    assert ask(project, "here.example.com") == "here"
    refused = json.loads(named.cli("domains", "add", "elsewhere.example.com", "-a", project.name, "--json"))
    assert not refused["proved"] and "leads to 127.0.0.2, not to this machine" in refused["problem"]


def test_a_preview_has_domains_that_go_with_it(project: Project, named: Server, names: Names) -> None:
    project.deploy(app("production"))
    project.git("checkout", "-q", "-b", "topic")
    project.write(app("preview")).commit()
    project.push("hostd", "topic")
    words = ("domains", "add", "*.topic.example.com", "-a", project.name, "--preview", "topic", "--json")
    added = json.loads(named.cli(*words))
    assert added["environment"] == "topic"
    names.text(added["records"][0]["name"], added["records"][0]["value"])
    named.cli("domains", "check", "*.topic.example.com", "-a", project.name)
    assert ask(project, "a.topic.example.com") == "preview"
    named.cli("previews", "destroy", "topic", "-a", project.name)
    assert listed(project) == {}
    assert "No such app" in ask(project, "a.topic.example.com")
