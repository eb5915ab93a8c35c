"""The numbers of sandboxes, on a disk that takes no more."""

from pathlib import Path

import pytest

from hostd.engine.slots import Slots
from hostd.errors import Unavailable


async def test_a_disk_that_takes_no_number_is_told_and_tried_again(tmp_path: Path) -> None:
    slots = Slots(tmp_path / "engine", None, None)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(Unavailable, match="cannot make another sandbox: No such file"):
            await slots.take()
    (tmp_path / "engine").mkdir()
    assert slots._number() == 1
