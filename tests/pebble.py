"""An ACME authority of a test's own: Debian's pebble, strict, and refusing some nonces as a real one may."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from hostd.router.certificates import self_signed
from tests.e2e.server import free_port, wait_for
from tests.names import Names


@dataclass(frozen=True)
class Pebble:
    """`ca` vouches for its API, `root` for the certificates it issues."""

    directory: str
    ca: Path
    root: Path


@contextmanager
def issuing(place: Path, names: Names, http_port: int) -> Iterator[Pebble]:
    """Issues to who answers at `http_port`, by addresses in `names`; skips the test where there is no pebble."""
    if not shutil.which("pebble"):
        pytest.skip("needs pebble: apt-get install pebble")
    port, management = free_port(), free_port()
    chain, key = self_signed("localhost")
    (place / "api.crt").write_text(chain)
    (place / "api.key").write_text(key)
    settings = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(place / "api.crt"),
        "privateKey": str(place / "api.key"),
        "httpPort": http_port,
        "tlsPort": free_port(),
    }
    (place / "pebble.json").write_text(json.dumps({"pebble": settings}))
    words = ["pebble", "-config", str(place / "pebble.json"), "-strict", "-dnsserver", names.address]
    quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "10"}
    process = subprocess.Popen(words, env=quick, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pebble = Pebble(f"https://localhost:{port}/dir", place / "api.crt", place / "root.crt")
    try:
        wait_for(lambda: _answers(management, pebble), 10, "pebble did not start")
        yield pebble
    finally:
        process.terminate()
        process.wait()


def _answers(management: int, pebble: Pebble) -> bool:
    try:
        root = httpx.get(f"https://localhost:{management}/roots/0", verify=False)  # noqa: S501
    except httpx.TransportError:
        return False
    pebble.root.write_text(root.text)
    return root.status_code == 200
