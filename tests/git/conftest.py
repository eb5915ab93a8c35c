"""A real bare repository and a work tree that pushes to it."""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hostd.git.repos import Repositories
from hostd.model.app import App


@dataclass(frozen=True)
class Clone:
    """A work tree whose `origin` is the App's repository, by path."""

    directory: Path
    app: App
    repositories: Repositories

    def git(self, *words: str) -> str:
        """Run git here; its output."""
        identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always")
        done = subprocess.run(
            ("git", *identity, *words), cwd=self.directory, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def write(self, path: str, content: str) -> None:
        """Put a file into the work tree."""
        (self.directory / path).parent.mkdir(parents=True, exist_ok=True)
        (self.directory / path).write_text(content)

    def commit(self) -> str:
        """Commit everything and store it in the App's repository; the commit's id."""
        self.git("add", "-A")
        self.git("commit", "-qm", "a commit", "--allow-empty")
        self.git("push", "-q", "-f", "origin", "HEAD:refs/heads/main")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
async def clone(tmp_path: Path) -> Clone:
    repositories = Repositories(tmp_path / "repositories", tmp_path / "apps")
    repositories.open()
    app = App(7, "shop", 1, datetime(2026, 1, 1, tzinfo=UTC))
    await repositories.create(app)
    work = tmp_path / "work"
    work.mkdir()
    made = Clone(work, app, repositories)
    made.git("init", "-q", "-b", "main")
    made.git("remote", "add", "origin", str(repositories.path(app)))
    return made
