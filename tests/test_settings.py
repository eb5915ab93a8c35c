"""Settings: defaults, rules, and that the README says the same."""

import os
from dataclasses import fields
from pathlib import Path

import pytest

from hostd import settings
from hostd.errors import Invalid
from hostd.settings import VARIABLES, Acme, Settings


def test_nothing_has_to_be_set() -> None:
    read = Settings.read({"HOME": "/home/ada"})
    assert read.data == (
        Path("/var/lib/hostd") if os.geteuid() == 0 else Path("/home/ada/.local/share/hostd")
    )
    assert read.database == read.data / "hostd.db"
    assert (read.base, read.http_port, read.https_port) == ("localhost", 8080, None)
    assert (read.listen_address, read.listen_port) == ("127.0.0.1", 8081)
    assert read.public_url == "http://localhost:8081"
    assert (read.ssh_address, read.ssh_port) == ("0.0.0.0", 2222)  # noqa: S104
    assert (read.engine, read.builds_at_once, read.instance_memory_mb) == ("local", 2, 512)
    assert (read.reclaim_after, read.stop_after, read.zram_mb) == (60, 3600, 0)


def test_every_variable_is_read() -> None:
    env = {
        "HOSTD_DATA": "/srv/hostd",
        "HOSTD_BASE": "apps.example.org",
        "HOSTD_HTTP_PORT": "80",
        "HOSTD_HTTPS_PORT": "443",
        "HOSTD_LISTEN": "[::1]:9000",
        "HOSTD_PUBLIC_URL": "https://hostd.example.org/",
        "HOSTD_SSH_LISTEN": "[::]:22",
        "HOSTD_ACME_DIRECTORY": "https://acme.example.org/directory",
        "HOSTD_ACME_AGREE": "yes",
        "HOSTD_ACME_EMAIL": "ada@example.org",
        "HOSTD_ACME_CA": "/etc/roots.pem",
        "HOSTD_ACME_DNS_HOOK": "/usr/local/bin/set-record",
        "HOSTD_DNS_RESOLVER": "9.9.9.9:53",
        "HOSTD_ENGINE": "local",
        "HOSTD_DATABASE": "/srv/db.sqlite",
        "HOSTD_BUILDS_AT_ONCE": "4",
        "HOSTD_PRIVATE_FORGES": "on",
        "HOSTD_INSTANCE_MEMORY_MB": "1024",
        "HOSTD_RUNS_AT_ONCE": "9",
        "HOSTD_RUN_SECONDS": "600",
        "HOSTD_CRON_AT_ONCE": "3",
        "HOSTD_RECLAIM_AFTER": "30",
        "HOSTD_STOP_AFTER": "600",
        "HOSTD_ZRAM_MB": "2048",
    }
    assert env.keys() == VARIABLES.keys()
    assert Settings.read(env) == Settings(
        data=Path("/srv/hostd"),
        base="apps.example.org",
        http_port=80,
        https_port=443,
        listen_address="::1",
        listen_port=9000,
        public_url="https://hostd.example.org",
        ssh_address="::",
        ssh_port=22,
        acme=Acme(
            "https://acme.example.org/directory",
            "ada@example.org",
            Path("/etc/roots.pem"),
            Path("/usr/local/bin/set-record"),
        ),
        dns_resolver=("9.9.9.9", 53),
        engine="local",
        database=Path("/srv/db.sqlite"),
        builds_at_once=4,
        private_forges=True,
        instance_memory_mb=1024,
        runs_at_once=9,
        run_seconds=600,
        cron_at_once=3,
        reclaim_after=30,
        stop_after=600,
        zram_mb=2048,
    )


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert Settings.read(dict.fromkeys(VARIABLES, "")) == Settings.read({})


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("HOSTD_DATA", "var/lib", "an absolute path without : , or \\"),
        ("HOSTD_DATA", "/var/a:b", "an absolute path without : , or \\"),
        ("HOSTD_BASE", "Example.org", "a domain in lower case, as apps.example.org"),
        ("HOSTD_BASE", "a..b", "a domain in lower case, as apps.example.org"),
        ("HOSTD_BASE", "localhost\n", "a domain in lower case, as apps.example.org"),
        ("HOSTD_ACME_DIRECTORY", "http://acme.example.org", "an https:// URL"),
        ("HOSTD_DNS_RESOLVER", "dns.example.org", "address:port, as 9.9.9.9:53"),
        ("HOSTD_PRIVATE_FORGES", "yes", "on or off"),
        ("HOSTD_HTTP_PORT", "0", "a whole number from 1 to 65535"),
        ("HOSTD_HTTP_PORT", "80;id", "a whole number from 1 to 65535"),
        ("HOSTD_HTTPS_PORT", "70000", "a whole number from 1 to 65535"),
        ("HOSTD_HTTPS_PORT", "\u0664\u0664\u0663", "a whole number from 1 to 65535"),
        ("HOSTD_LISTEN", "8081", "address:port, as 127.0.0.1:8081 or [::1]:8081"),
        ("HOSTD_LISTEN", "localhost:8081", "address:port, as 127.0.0.1:8081 or [::1]:8081"),
        ("HOSTD_LISTEN", "127.0.0.1:99999", "address:port, as 127.0.0.1:8081 or [::1]:8081"),
        ("HOSTD_PUBLIC_URL", "hostd.example.org", "http:// or https://, a host and perhaps a port, no path"),
        ("HOSTD_PUBLIC_URL", "http://a:b@c", "http:// or https://, a host and perhaps a port, no path"),
        ("HOSTD_PUBLIC_URL", "http://c:x", "http:// or https://, a host and perhaps a port, no path"),
        ("HOSTD_PUBLIC_URL", "http://c/path", "http:// or https://, a host and perhaps a port, no path"),
        ("HOSTD_SSH_LISTEN", "no", "off, or address:port, as 0.0.0.0:2222 or [::]:2222"),
        ("HOSTD_SSH_LISTEN", "0.0.0.0:0", "off, or address:port, as 0.0.0.0:2222 or [::]:2222"),
        ("HOSTD_ENGINE", "docker", "one of: local"),
        ("HOSTD_BUILDS_AT_ONCE", "-1", "a whole number from 1 to 64"),
        ("HOSTD_INSTANCE_MEMORY_MB", "1PB", "a whole number from 32 to 65536"),
        ("HOSTD_STOP_AFTER", "0", "a whole number from 1 to 604800"),
        ("HOSTD_ZRAM_MB", "65537", "a whole number from 0 to 65536"),
    ],
)
def test_a_value_that_breaks_its_rule_is_refused_by_name(name: str, value: str, rule: str) -> None:
    with pytest.raises(Invalid) as refused:
        Settings.read({name: value})
    assert refused.value.message == f"{name} is {value!a}, but must be {rule}"


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, "HOSTD_ACME_AGREE is '', but must be yes, if you agree to the terms"),
        ({"HOSTD_ACME_AGREE": "no"}, "HOSTD_ACME_AGREE is 'no'"),
        ({"HOSTD_ACME_AGREE": "yes"}, "HOSTD_HTTPS_PORT is ''"),
        (
            {"HOSTD_ACME_AGREE": "yes", "HOSTD_HTTPS_PORT": "443", "HOSTD_ACME_EMAIL": "a b@c"},
            "HOSTD_ACME_EMAIL is 'a b@c', but must be an address",
        ),
    ],
)
def test_an_authority_is_used_only_with_all_that_it_needs(env: dict[str, str], words: str) -> None:
    with pytest.raises(Invalid) as refused:
        Settings.read({"HOSTD_ACME_DIRECTORY": "https://acme.example.org", **env})
    assert words in refused.value.message


def test_git_over_ssh_can_be_switched_off() -> None:
    assert Settings.read({"HOSTD_SSH_LISTEN": "off"}).ssh_port is None


def test_a_misspelt_variable_is_refused() -> None:
    with pytest.raises(Invalid, match="there is no setting 'HOSTD_DATE'"):
        Settings.read({"HOSTD_DATE": "/srv"})


def test_every_field_comes_from_a_variable() -> None:
    names = {field.name for field in fields(Settings)}
    names = names - {"acme"} | {f"acme_{field.name}" for field in fields(Acme)}
    named = {name.removeprefix("HOSTD_").lower() for name in VARIABLES} - {"acme_agree"}
    listening = {"listen_address", "listen_port", "ssh_address", "ssh_port"}
    assert named - {"listen", "ssh_listen"} == names - listening


def test_the_readme_shows_the_settings() -> None:
    assert settings.reference() in (Path(__file__).parent.parent / "README.md").read_text()
