"""What the pushed files say about how to build and run: hostd.toml, Procfile, project.toml, cron in app.json."""

from dataclasses import dataclass, replace
from pathlib import Path

from hostd.build import source_files
from hostd.model import cron, manifest, procfile
from hostd.model.buildpack import Project, parse_project
from hostd.model.image import ProcessType
from hostd.model.manifest import Manifest

APP_JSON_LIMIT = 1024 * 1024  # bytes
PROCFILE_LIMIT = 2 * 1024 * 1024  # bytes: enough for the parser to name the line that is too long


@dataclass(frozen=True, slots=True)
class Recipe:
    """The three files; empty where there is none."""

    manifest: Manifest
    procfile: tuple[ProcessType, ...]
    project: Project

    @property
    def processes(self) -> tuple[ProcessType, ...]:
        """hostd.toml wins over the Procfile."""
        named = {process.name: process for process in (*self.procfile, *self.manifest.processes)}
        return tuple(named.values())

    @property
    def enough(self) -> bool:
        """Whether the app can run without any Buildpack."""
        return bool(self.processes or self.manifest.static)


def read(app: Path) -> Recipe:
    """The Recipe in the files at `app`. Raises BuildFailed with the file and, where it can, the line."""
    hostd_toml = source_files.read(app, manifest.FILE)
    lines = source_files.read(app, "Procfile", PROCFILE_LIMIT)
    project = source_files.read(app, "project.toml")
    said = manifest.parse(hostd_toml) if hostd_toml is not None else Manifest()
    app_json = source_files.read(app, "app.json", APP_JSON_LIMIT)
    if app_json is not None and not said.cron_jobs:
        said = replace(said, cron_jobs=cron.read_app_json(app_json))
    return Recipe(
        said,
        procfile.parse(lines) if lines is not None else (),
        parse_project(project) if project is not None else Project(),
    )
