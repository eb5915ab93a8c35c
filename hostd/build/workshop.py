"""What every phase of one Build works with."""

import hashlib
import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hostd.build.image import TOOLCHAINS
from hostd.build.recipe import Recipe
from hostd.build.sandbox import Sandbox
from hostd.build.scratch import Scratch
from hostd.command import PATH
from hostd.model.task import Bind

# Says, in the environment of buildpacks, which variables there are beside it that may decide what is installed.
# A layer that was made with another one is made anew; without any such variable there is none.
BUILD_KEY = "HOSTD_BUILD_KEY"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Workshop:
    """A Build's directories, sandbox and instructions. `env` is what the pusher set for buildpacks."""

    scratch: Scratch
    sandbox: Sandbox
    recipe: Recipe
    env: Mapping[str, str]
    toolchains: Mapping[str, Path]

    async def run(
        self,
        command: tuple[str, ...],
        env: Mapping[str, str],
        binds: Sequence[Bind],
        on_line: Callable[[str], None],
        *,
        network: bool = True,
    ) -> int:
        """The exit status of `command` in the sandbox, which sees `binds` and the toolchains."""
        tools = [Bind(path, f"{TOOLCHAINS}/{name}") for name, path in self.toolchains.items()]
        return await self.sandbox.run(command, env, [*binds, *tools], on_line, network=network)


def base_env() -> dict[str, str]:
    """What every program of a Build gets (Buildpack API 0.12, "Provided by the Lifecycle")."""
    return {"PATH": PATH, "HOME": "/tmp", "LANG": "C.UTF-8", "CNB_PLATFORM_DIR": "/platform", **_target()}  # noqa: S108


def user_env(recipe: Recipe, env: Mapping[str, str]) -> dict[str, str]:
    """Variables for buildpacks: those of project.toml, under those set for the App."""
    own = dict(recipe.project.env)
    key = hashlib.sha256(repr((env.get(BUILD_KEY), sorted(own.items()))).encode()).hexdigest()
    return {
        name: value
        for name, value in {**own, **env, **({BUILD_KEY: key[:32]} if own else {})}.items()
        if _VARIABLE.fullmatch(name) and not name.startswith("CNB_")
    }


@cache
def _target() -> Mapping[str, str]:
    release = platform.freedesktop_os_release()
    return {
        "CNB_EXEC_ENV": "production",
        "CNB_TARGET_OS": "linux",
        "CNB_TARGET_ARCH": architecture(),
        "CNB_TARGET_DISTRO_NAME": release.get("ID", ""),
        "CNB_TARGET_DISTRO_VERSION": release.get("VERSION_ID", ""),
    }


def architecture() -> str:
    """This machine's, as OCI calls it."""
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)
