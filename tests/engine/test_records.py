"""What is known again after a restart."""

from dataclasses import replace
from pathlib import Path

from hostd.engine import records
from hostd.engine.records import Record
from hostd.model.image import Image, LayerRecord, ProcessType, StaticSite, Tree
from hostd.model.instance import Endpoint, Instance, Limits
from tests.fakes import instance_spec

IMAGE = Image(
    "sha256:1",
    (Tree("1", "/app", ("/d/1", "/d/2")),),
    {"A": "1"},
    (ProcessType("web", ("sh", "-c", "x")),),
    StaticSite("dist", single_page=True),
    (LayerRecord("b", "n", "d", "/l", True, False, True, {"k": 1}),),
    ("b",),
    {"l": "v"},
)
RECORD = Record(
    Instance(
        instance_spec(id="web.1", image=IMAGE, limits=Limits(cpus=0.5), env={"X": "ü\n"}),
        Endpoint("100.64.0.9", 8080),
        12.5,
    ),
    7,
    "boot",
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    records.write(tmp_path, RECORD)
    assert records.read_all(tmp_path) == [RECORD]
    records.remove(tmp_path, "web.1")
    assert records.read_all(tmp_path) == []


def test_a_record_holds_no_config_and_is_for_root_only(tmp_path: Path) -> None:
    secret = replace(RECORD.instance.spec, env={"PASSWORD": "hunter2"})
    records.write(tmp_path, replace(RECORD, instance=replace(RECORD.instance, spec=secret)))
    assert "hunter2" not in (tmp_path / "web.1" / "record.json").read_text()
    assert (tmp_path / "web.1").stat().st_mode & 0o077 == 0


def test_what_is_no_record_is_removed(tmp_path: Path) -> None:
    for name, text in (("a", "{"), ("b", "{}"), ("c", "[]"), ("d", '{"instance": {"spec": {}}}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "record.json").write_text(text)
    (tmp_path / "e").mkdir()
    assert records.read_all(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_bubblewraps_report_is_read_line_by_line(tmp_path: Path) -> None:
    status = tmp_path / "status"
    assert records.read_status(status) == {}
    status.write_text('{ "child-pid": 12, "net-namespace": 402 }\n{ "exit-code": 3 }\n')
    assert records.read_status(status) == {"child-pid": 12, "net-namespace": 402, "exit-code": 3}
    status.write_text('{ "child-pid": 12 }\n{ "exit')
    assert records.read_status(status) == {"child-pid": 12}


def test_a_pid_that_was_never_written_is_none(tmp_path: Path) -> None:
    assert records.read_pid(tmp_path, "web.1") == 0
