"""Every sample app, pushed twice through the real Lifecycle and asked over HTTP: its expect.toml must come true."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hostd.errors import BuildFailed
from hostd.model.image import Image
from tests.buildpacks import yard
from tests.buildpacks.yard import Yard

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: sandboxes and mounts"),
]
DEPENDENCY_WORK = ("Installing dependencies", "Getting ", "Adding ", "bundle install")


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Yard]:
    async with yard.opened() as opened:
        yield opened


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", sorted(yard.samples()))
async def test_a_sample_builds_and_answers_as_it_expects_and_does_no_dependency_work_twice(
    place: Yard, name: str
) -> None:
    sample = yard.samples()[name]
    expected = yard.expectation(sample)
    app = place.copy(sample)
    _lock(app)

    image, lines = await place.build(app)

    said = "\n".join(lines)
    assert image.buildpacks[0].split(" ")[0] == expected["buildpack"]
    assert [process.name for process in image.processes] == sorted(expected["processes"], key=_web_first)
    assert expected["output"] in said
    if release := image.process("release"):
        assert await place.run(image, release) == 0
    await _answers(place, image, expected)

    (app / "notes.txt").write_text("another commit")
    again, lines = await place.build(app, image)

    assert not [line for line in lines if line.strip().startswith(DEPENDENCY_WORK)]
    assert _dependencies(again) == _dependencies(image)
    assert again.processes == image.processes


async def test_a_python_that_is_not_to_be_had_is_named_with_who_asked_for_it(place: Yard) -> None:
    app = place.copy(yard.samples()["python"])
    (app / ".python-version").write_text("3.7\n")
    with pytest.raises(BuildFailed) as caught:
        await place.build(app)
    said = "\n".join(caught.value.__notes__)
    assert "could not get Python 3.7, asked for by .python-version" in said
    assert "This machine has Python 3." in said


async def test_a_package_that_does_not_exist_fails_the_build_and_names_the_file(place: Yard) -> None:
    app = place.copy(yard.samples()["python"])
    (app / "requirements.txt").write_text("flask==0.0.0.1\n")
    with pytest.raises(BuildFailed) as caught:
        await place.build(app)
    said = "\n".join(caught.value.__notes__)
    assert "uv could not install the dependencies of requirements.txt" in said


async def test_a_lockfile_out_of_step_with_its_manifest_fails_the_build_and_says_so(place: Yard) -> None:
    app = place.copy(yard.samples()["node"])
    manifest = (app / "package.json").read_text()
    (app / "package.json").write_text(manifest.replace('"express": "4.21.2"', '"express": "4.21.1"'))
    with pytest.raises(BuildFailed) as caught:
        await place.build(app)
    assert "Is package-lock.json in step with package.json?" in "\n".join(caught.value.__notes__)


def _lock(app: Path) -> None:
    """uv.lock holds the address of an index, so it is not in the repository but made here."""
    if (app / "pyproject.toml").exists() and not list(app.glob("*.lock")):
        uv = Path(sys.prefix) / "bin" / "uv"
        subprocess.run([uv, "lock", "--quiet", "--python", "/usr/bin/python3"], cwd=app, check=True)


async def _answers(place: Yard, image: Image, expected: Mapping[str, Any]) -> None:
    if "static" in expected:
        assert image.static
        assert (image.static.root, image.static.single_page) == (expected["static"], expected["single_page"])
        app = next(tree for tree in image.trees if tree.target == "/app")
        pages = [Path(directory, expected["static"], "index.html") for directory in app.directories]
        assert expected["body"] in next(page for page in pages if page.exists()).read_text()
        return
    answer = await place.get(image, expected["path"])
    assert answer.status == expected["status"]
    assert expected["body"] in answer.body


def _dependencies(image: Image) -> set[tuple[str, str]]:
    """What an Image mounts besides the app itself and programs compiled from it."""
    return {
        (tree.target, tree.digest)
        for tree in image.trees
        if tree.target not in ("/app", "/layers/go/programs")
    }


def _web_first(name: str) -> tuple[bool, str]:
    return name != "web", name
