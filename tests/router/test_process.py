"""The watch of nginx, where it cannot be noted."""

from pathlib import Path

import psutil
import pytest

from hostd.errors import Unavailable
from hostd.router import process


def test_a_watch_that_cannot_be_noted_is_told_and_ended(tmp_path: Path) -> None:
    (tmp_path / "watch.pid").mkdir()
    with pytest.raises(Unavailable, match="cannot be noted: Is a directory"):
        process.watch(tmp_path)
    left = [
        each for each in psutil.process_iter(["cmdline"]) if str(tmp_path) in (each.info["cmdline"] or ())
    ]
    psutil.wait_procs(left, timeout=5)
    assert not [each for each in left if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
