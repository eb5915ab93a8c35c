"""Image: the immutable, runnable result of a Build: an ordered list of content-addressed, read-only trees.

It is plain data (`to_json`, `from_json`), so it can be stored with its Release and mounted by any engine.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Tree:
    """Files that belong at `target` (an absolute path inside an Instance).

    `directories` hold them, topmost first, as overlayfs merges them; one is the usual case. They are absolute
    paths below hostd's data directory and are never written again.
    """

    digest: str
    target: str
    directories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProcessType:
    """`web: command`. `command` is the argv; a line of a Procfile comes as ("bash", "-c", line).

    `default` marks the one that gets the Route. `directory` is where it starts.
    """

    name: str
    command: tuple[str, ...]
    directory: str = "/app"


@dataclass(frozen=True, slots=True)
class StaticSite:
    """An Image that needs no Instance: the router serves the directory `root`, relative to /app, itself.

    `single_page`: a path without a file gets /index.html with 200, as client-side routers need.
    """

    root: str
    single_page: bool = False


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """A layer as the lifecycle restores it at the next Build: `metadata` is the buildpack's own."""

    buildpack: str
    name: str
    digest: str
    directory: str
    launch: bool
    build: bool
    cache: bool
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Image:
    """What a Release runs. `env` is the launch environment from the layers, without ConfigVars."""

    digest: str
    trees: tuple[Tree, ...]
    env: Mapping[str, str]
    processes: tuple[ProcessType, ...]
    static: StaticSite | None = None
    layers: tuple[LayerRecord, ...] = ()
    buildpacks: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def process(self, name: str) -> ProcessType | None:
        """The process type called `name`, or None."""
        return next((process for process in self.processes if process.name == name), None)

    def to_json(self) -> str:
        """The Image as JSON, from which `from_json` makes an equal one."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "Image":
        """The Image that `to_json` wrote."""
        data = json.loads(text)
        return Image(
            digest=data["digest"],
            trees=tuple(
                Tree(tree["digest"], tree["target"], tuple(tree["directories"])) for tree in data["trees"]
            ),
            env=data["env"],
            processes=tuple(
                ProcessType(item["name"], tuple(item["command"]), item["directory"])
                for item in data["processes"]
            ),
            static=StaticSite(**data["static"]) if data["static"] else None,
            layers=tuple(LayerRecord(**layer) for layer in data["layers"]),
            buildpacks=tuple(data["buildpacks"]),
            labels=data["labels"],
        )


def image_digest(
    trees: tuple[Tree, ...],
    env: Mapping[str, str],
    processes: tuple[ProcessType, ...],
    static: StaticSite | None,
) -> str:
    """`sha256:...` of all that decides how the Image runs; equal input, equal digest."""
    facts = {
        "trees": [[tree.target, tree.digest] for tree in trees],
        "env": sorted(env.items()),
        "processes": [asdict(process) for process in processes],
        "static": asdict(static) if static else None,
    }
    return "sha256:" + hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
