"""The table on disk."""

import json
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hostd.router.tablefile import CHANGES_LIMIT, TableFile


def contents(path: Path) -> tuple[str, Mapping[str, object]]:
    """The boot id and the table, as start.lua reads them."""
    first, *lines = path.read_text().splitlines()
    entries: dict[str, object] = {}
    for line in lines:
        entries |= json.loads(line)
    return json.loads(first)["boot_id"], {host: entry for host, entry in entries.items() if entry is not None}


@pytest.fixture
def file(tmp_path: Path) -> Iterator[TableFile]:
    file = TableFile(tmp_path / "table.jsonl", "boot-1")
    yield file
    file.close()


def test_changes_follow_the_table_they_change(file: TableFile, tmp_path: Path) -> None:
    file.write({"a": '{"n":1}', "b": '{"n":2}'})
    file.add({"a": '{"n":3}', "c": '{"n":4}'}, {})
    file.add({"b": None}, {})
    assert contents(tmp_path / "table.jsonl") == ("boot-1", {"a": {"n": 3}, "c": {"n": 4}})


def test_the_file_does_not_grow_for_ever(file: TableFile, tmp_path: Path) -> None:
    file.write({})
    for number in range(CHANGES_LIMIT + 5):
        entry = f'{{"n":{number}}}'
        file.add({"a": entry}, {"a": entry})
    assert contents(tmp_path / "table.jsonl") == ("boot-1", {"a": {"n": CHANGES_LIMIT + 4}})
    assert len((tmp_path / "table.jsonl").read_text().splitlines()) < 10


def test_a_change_that_does_not_fit_leaves_the_file_as_it_was(file: TableFile, tmp_path: Path) -> None:
    file.write({"a": '{"n":1}'})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (tmp_path / "table.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
    try:
        with pytest.raises(OSError):
            file.add({"b": '{"n":"long enough not to fit"}'}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert contents(tmp_path / "table.jsonl") == ("boot-1", {"a": {"n": 1}})
    file.add({"b": '{"n":2}'}, {})
    assert contents(tmp_path / "table.jsonl") == ("boot-1", {"a": {"n": 1}, "b": {"n": 2}})
