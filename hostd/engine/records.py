"""What hostd must know again about an Instance after its own restart: one directory each, gone with the Instance.

    instances/<id>/record.json   written before anything is started
    instances/<id>/pid           bubblewrap's process id, once it was started
    instances/<id>/status        by bubblewrap: its child's process id, then the exit status

A record matters only as long as the kernel that runs the Instance, so it is put in place whole but not synced.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hostd.model.image import Image
from hostd.model.instance import Endpoint, Instance, InstanceSpec, Limits


@dataclass(frozen=True, slots=True)
class Record:
    """An Instance, the slot it runs in, and which start of this machine that was."""

    instance: Instance
    slot: int
    boot: str


def write(directory: Path, record: Record) -> None:
    """Put the record below `directory`. Raises OSError."""
    place = directory / record.instance.id
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = place / "record.partial"
    partial.write_text(to_json(record))
    partial.rename(place / "record.json")


def read_all(directory: Path) -> list[Record]:
    """Every record that can be read; a part of one is removed."""
    found = []
    for place in sorted(directory.iterdir()) if directory.is_dir() else []:
        try:
            found.append(from_json((place / "record.json").read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            shutil.rmtree(place, ignore_errors=True)
    return found


def remove(directory: Path, instance_id: str) -> None:
    """Forget an Instance."""
    shutil.rmtree(directory / instance_id, ignore_errors=True)


def write_pid(directory: Path, instance_id: str, pid: int) -> None:
    """Note bubblewrap's process id."""
    (directory / instance_id / "pid").write_text(str(pid))


def read_pid(directory: Path, instance_id: str) -> int:
    """Bubblewrap's process id, 0 if it was never started."""
    try:
        return int((directory / instance_id / "pid").read_text())
    except (OSError, ValueError):
        return 0


def read_status(path: Path) -> dict[str, int]:
    """What bubblewrap has said so far: `child-pid`, and `exit-code` once it ended."""
    facts: dict[str, int] = {}
    try:
        for line in path.read_text().splitlines():
            facts |= {key: value for key, value in json.loads(line).items() if isinstance(value, int)}
    except (OSError, ValueError):
        pass
    return facts


def boot_id() -> str:
    """Another one after each start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def to_json(record: Record) -> str:
    """The record as JSON, without the process environment: it holds config, which no disk is to have in plain text,
    and what was started has it."""
    facts = asdict(record)
    facts["instance"]["spec"]["env"] = {}
    return json.dumps(facts, separators=(",", ":"))


def from_json(text: str) -> Record:
    """The record that `to_json` wrote, `env` empty. Raises ValueError, KeyError or TypeError for anything else."""
    data: dict[str, Any] = json.loads(text)
    told = data["instance"]
    spec = told["spec"]
    image = Image.from_json(json.dumps(spec.pop("image")))
    limits, command = Limits(**spec.pop("limits")), tuple(spec.pop("command"))
    return Record(
        Instance(
            InstanceSpec(image=image, limits=limits, command=command, **spec),
            Endpoint(**told["endpoint"]),
            told["started_at"],
        ),
        data["slot"],
        data["boot"],
    )
