"""TLS as a visitor has it: a real authority, the real router, and curl, which checks what it is shown."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hostd.router import process
from hostd.router.certificates import self_signed
from tests.e2e.server import Project, Server, free_port, serving, wait_for
from tests.e2e.test_push import app
from tests.names import Names, naming
from tests.pebble import Pebble, issuing

BASE, WWW = "apps.example.org", "www.example.com"


@dataclass(frozen=True)
class Site:
    """A hostd below apps.example.org with an authority, and shop, which is deployed."""

    server: Server
    project: Project
    names: Names
    pebble: Pebble
    https_port: int

    def curl(self, url: str, *words: str, root: Path | None = None) -> str:
        """What curl prints for a URL of ours; nothing if it does not trust what it is shown."""
        host, port = url.split("/")[2].partition(":")[::2]
        resolve = f"{host}:{port or 443}:127.0.0.1"
        command = [
            "curl",
            "-sS",
            "--resolve",
            resolve,
            "--cacert",
            str(root or self.pebble.root),
            *words,
            url,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout

    def secure(self, host: str, root: Path | None = None) -> str:
        """What is answered at `host` over HTTPS."""
        return self.curl(f"https://{host}:{self.https_port}/", root=root)

    def workers(self) -> str:
        """The pids of nginx's workers."""
        pid = process.running_pid(self.server.data / "data/router")
        return Path(f"/proc/{pid}/task/{pid}/children").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    http_port, https_port = free_port(), free_port()
    with naming() as names, issuing(tmp_path_factory.mktemp("pebble"), names, http_port) as pebble:
        for host in (f"shop.{BASE}", f"hostd.{BASE}"):
            names.address_of(host, "127.0.0.1")
        with serving(
            HOSTD_BASE=BASE,
            HOSTD_HTTP_PORT=str(http_port),
            HOSTD_HTTPS_PORT=str(https_port),
            HOSTD_DNS_RESOLVER=names.address,
            HOSTD_ACME_DIRECTORY=pebble.directory,
            HOSTD_ACME_CA=str(pebble.ca),
            HOSTD_ACME_AGREE="yes",
        ) as server:
            server.http_port = http_port
            server.cli("login", server.url, "--token", server.token)
            project = server.create("shop")
            project.deploy(app("hello"))
            yield Site(server, project, names, pebble, https_port)
            assert "Traceback" not in server.log(), server.log()[-5000:]


def test_the_apps_own_host_has_https_by_itself(site: Site) -> None:
    host = f"shop.{BASE}"
    wait_for(lambda: site.secure(host) == "hello", 60, site.server.log)
    sent_on = site.curl(
        f"http://{host}:{site.server.http_port}/x?y", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"
    )
    assert sent_on == f"308 https://{host}:{site.https_port}/x?y"
    healthz = f"https://hostd.{BASE}:{site.https_port}/healthz"
    wait_for(lambda: site.curl(healthz) == '{"status":"ok"}', 60, site.server.log)


def test_a_domain_gets_a_certificate_when_it_is_proved_and_another_when_one_is_uploaded(site: Site) -> None:
    site.names.address_of(WWW, "127.0.0.1")
    added = json.loads(site.server.cli("domains", "add", WWW, "-a", "shop", "--json"))
    assert added["proved"], added
    workers = site.workers()
    wait_for(lambda: site.secure(WWW) == "hello", 60, site.server.log)
    assert "www.example.com  production  proved, HTTPS until 20" in site.server.cli("domains", "-a", "shop")
    assert "ACME" in site.server.cli("certs", "-a", "shop")

    chain, key = self_signed(WWW)
    files = {"own.crt": chain, "own.key": key, "other.key": self_signed(WWW)[1]}
    for name, text in files.items():
        (site.server.data / name).write_text(text)
    upload = ("certs", "upload", WWW, "-a", "shop", "--cert", "own.crt", "--key")
    refused = site.server.cli(*upload, "other.key", status=2)
    assert "the key does not belong to the certificate" in refused
    assert site.secure(WWW) == "hello"
    assert "valid until 2050-01-01" in site.server.cli(*upload, "own.key")
    assert site.secure(WWW) == ""
    assert site.secure(WWW, root=site.server.data / "own.crt") == "hello"
    assert site.workers() == workers

    site.server.cli("certs", "remove", WWW, "-a", "shop")
    wait_for(lambda: site.secure(WWW) == "hello", 60, site.server.log)
    assert site.server.cli("domains", "tls", "-a", "shop", "--redirect", "off", "--hsts", "60")
    assert site.curl(f"http://{WWW}:{site.server.http_port}/") == "hello"
    assert "max-age=60" in site.curl(f"https://{WWW}:{site.https_port}/", "-I", "-X", "GET")
    assert "neither on nor off" in site.server.cli(
        "domains", "tls", "--redirect", "x", "-a", "shop", status=2
    )


def test_certificates_are_shown_while_hostd_is_down_and_fetched_ones_kept(site: Site) -> None:
    host = f"shop.{BASE}"
    wait_for(lambda: site.secure(host) == "hello", 60, site.server.log)
    site.server.terminate()
    try:
        assert site.secure(host) == "hello"
    finally:
        site.server.start()
    assert site.secure(host) == "hello"


def test_a_host_that_cannot_be_checked_is_said_so_and_hurts_nobody(site: Site) -> None:
    added = json.loads(site.server.cli("domains", "add", "nowhere.example.com", "-a", "shop", "--json"))
    site.names.text("_hostd.nowhere.example.com", added["records"][0]["value"])
    site.server.cli("domains", "check", "nowhere.example.com", "-a", "shop")

    def problem() -> str:
        listed = json.loads(site.server.cli("certs", "list", "-a", "shop", "--json"))
        return next((each["problem"] for each in listed if each["host"] == "nowhere.example.com"), "")

    wait_for(lambda: "the authority could not check nowhere.example.com" in problem(), 60, problem)
    assert "no HTTPS yet (the authority could not check" in site.server.cli("domains", "-a", "shop")
    assert site.secure(f"shop.{BASE}") == "hello"
