"""Starting what a Release consists of: its Instances, its release command, the directory of a static site."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hostd import mounts
from hostd.control.platform import Platform
from hostd.control.routing import WEB
from hostd.engine.base import Task
from hostd.engine.health import wait_until_healthy
from hostd.errors import RolloutFailed, Unavailable
from hostd.model.app import Environment
from hostd.model.health import HealthCheck
from hostd.model.image import ProcessType
from hostd.model.instance import Instance, InstanceSpec, Limits
from hostd.model.release import Release
from hostd.model.terms import terms_of
from hostd.transcript import Transcript

RELEASE_COMMAND = "release"
RELEASE_COMMAND_LIMIT = 3600.0  # seconds
Slot = tuple[str, int]  # process type and number: web.1 is ("web", 1)


def slots_of(release: Release, formation: Mapping[str, int]) -> list[Slot]:
    """What should run of `release`: one of each process type unless `formation` says otherwise; web first."""
    names = [process.name for process in release.image.processes if process.name != RELEASE_COMMAND]
    ordered = sorted(names, key=lambda name: name != WEB)
    return [(name, number + 1) for name in ordered for number in range(formation.get(name, 1))]


def slot_of(instance: Instance) -> Slot:
    """Which place of its Environment an Instance holds; it is the end of its id."""
    return instance.spec.process, int(instance.id.rpartition("-")[2])


def spec_of(platform: Platform, environment: Environment, release: Release, slot: Slot) -> InstanceSpec:
    """What the engine is told to start for `slot`. Each call makes a new id: one start, one id."""
    name, number = slot
    process = release.image.process(name)
    assert process
    return InstanceSpec(
        id=f"{environment.label}-{name}-v{release.origin}-{secrets.token_hex(4)}-{number}",
        tenant=environment.app_id,
        environment=environment.label,
        release=release.origin,  # whatever repeats it may take it over
        process=name,
        image=release.image,
        command=process.command,
        directory=process.directory,
        env=process_env(environment, release, process),
        limits=limits_of(platform.limits, release, name),
    )


def process_env(environment: Environment, release: Release, process: ProcessType) -> dict[str, str]:
    """The environment of a process: the Image's, what hostd tells every app, and ConfigVars, which win."""
    told = {
        "HOSTD_APP": environment.app,
        "HOSTD_ENVIRONMENT": environment.name,
        "HOSTD_BRANCH": environment.branch,
        "HOSTD_RELEASE": f"v{release.origin}",
        "HOSTD_COMMIT": release.commit,
        "HOSTD_PROCESS": process.name,
    }
    return {**release.image.env, **told, **release.config}


def limits_of(default: Limits, release: Release, process: str) -> Limits:
    """The operator's limits, with what the app's hostd.toml asks for `process` where that is less."""
    asked = terms_of(release.image.labels, process)
    return replace(
        default,
        memory_mb=min(default.memory_mb, asked.memory_mb or default.memory_mb),
        cpus=min(default.cpus or asked.cpus, asked.cpus or default.cpus),
    )


def grace_of(instance: Instance) -> float:
    """Seconds that its hostd.toml gives it between SIGTERM and SIGKILL."""
    return terms_of(instance.spec.image.labels, instance.spec.process).grace


async def run_release_command(
    platform: Platform, environment: Environment, release: Release, transcript: Transcript
) -> None:
    """Run the `release` process once, if there is one. Raises RolloutFailed if it does not end with 0."""
    process = release.image.process(RELEASE_COMMAND)
    if process is None:
        return
    task = Task(
        tenant=environment.app_id,
        command=process.command,
        env=process_env(environment, release, process),
        directory=process.directory,
        image=release.image,
        limits=replace(
            limits_of(platform.limits, release, RELEASE_COMMAND), seconds=RELEASE_COMMAND_LIMIT, output_mb=20
        ),
    )
    with transcript.phase(f"Running the release command: {' '.join(process.command[-1:])}"):
        ended = await platform.engine.run(task, transcript.detail)
    if ended.status != 0 or ended.limit:
        raise RolloutFailed(f"the release command failed: it {ended}", hint="its output is above")


async def wait_healthy(platform: Platform, environment: Environment, instance: Instance) -> None:
    """Until a web Instance answers. Raises RolloutFailed saying what it did instead."""
    check = HealthCheck.of(instance.spec.image.labels)
    await wait_until_healthy(platform.engine, instance, check, environment.host)


def image_is_there(release: Release) -> bool:
    """Whether all files of its Image are kept yet."""
    return all(Path(path).is_dir() for tree in release.image.trees for path in tree.directories)


def site_of(platform: Platform, environment: Environment, release: Release) -> Path | None:
    """The directory the router serves a static Release from, mounted if its tree has several layers.

    Raises RolloutFailed if the directory the Image names is not there, Unavailable if it cannot be mounted.
    """
    if release.image.static is None:
        return None
    tree = next(tree for tree in release.image.trees if tree.target == "/app")
    top = Path(tree.directories[0])
    if len(tree.directories) > 1:
        top = _site_mount(platform, environment, release)
        if not top.is_mount():
            try:
                mounts.overlay(top, [Path(directory) for directory in tree.directories])
            except OSError as error:
                raise Unavailable(f"the site could not be mounted: {error.strerror}") from error
    root = top / release.image.static.root
    if not root.is_dir() or not root.resolve().is_relative_to(top.resolve()):
        raise RolloutFailed(f"the site's directory {release.image.static.root} is not there after the build")
    return root


def drop_site(platform: Platform, environment: Environment, release: Release) -> None:
    """Unmount what `site_of` mounted. Requests that still read from it go on."""
    mount = _site_mount(platform, environment, release)
    if mount.is_mount():
        mounts.unmount(mount)
        mount.rmdir()


def _site_mount(platform: Platform, environment: Environment, release: Release) -> Path:
    # By id: a Preview that is made anew for its branch has the same name and begins with v1 again.
    return platform.data / "apps" / str(environment.app_id) / "sites" / f"{environment.id}-{release.name}"
