import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hostd.control.key_rotation import rotate_key
from hostd.control.secrets import Secrets
from hostd.errors import Unavailable
from hostd.store import config_groups, config_vars, releases
from hostd.store.config_vars import StoredVar
from hostd.store.database import Database
from tests.store.samples import IMAGE, NOW, VAR, environment_of

HELD = 20
STEPS = ["new key", "some encrypted", "all encrypted", "old key gone"]
ROTATION = """if True:
    import asyncio, os, signal, sys
    from pathlib import Path
    from hostd.control.key_rotation import begin_rotation, end_rotation
    from hostd.store import encrypted
    from hostd.store.database import Database

    data, step = Path(sys.argv[1]), sys.argv[2]

    def at(name):
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    async def rotate():
        db = Database.open(data / "hostd.db")
        secrets = begin_rotation(data / "key")
        at("new key")
        done = []

        def anew(value):
            done.append(value)
            if len(done) == 10:
                at("some encrypted")
            return secrets.encrypt_anew(value)

        await db.call(encrypted.encrypt_anew, anew)
        at("all encrypted")
        end_rotation(data / "key")
        at("old key gone")

    asyncio.run(rotate())
"""


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A store with secrets of every kind, and its key."""
    secrets, db = Secrets.open(tmp_path / "key"), Database.open(tmp_path / "hostd.db")
    environment = await db.call(environment_of, "shop")
    group = await db.call(config_groups.create, "shared", 1, NOW)
    var = StoredVar(secrets.encrypt(b"hunter2"), VAR.secret, VAR.scopes)
    for number in range(HELD):
        await db.call(config_vars.set, config_vars.environment(environment.id), f"A{number}", var)
    await db.call(config_vars.set, config_vars.previews(environment.app_id), "A", var)
    await db.call(config_vars.set, config_vars.group(group.id), "A", var)
    config = secrets.encrypt_mapping({"A": "hunter2"})
    await db.call(releases.create, environment.id, IMAGE, config, "c0ffee", "push", "ada", NOW, {})
    db.close()
    return tmp_path


async def readable(data: Path) -> bool:
    """Whether what a hostd started now would find is what was stored. Raises Unavailable if it is not."""
    secrets, db = Secrets.open(data / "key"), Database.open(data / "hostd.db")
    try:
        release = await db.read(releases.by_number, 1, 1, secrets.decrypt_mapping)
        holders = [config_vars.environment(1), config_vars.previews(1), config_vars.group(1)]
        stored = [var.value for holder in holders for var in (await db.read(config_vars.of, holder)).values()]
        return release.config == {"A": "hunter2"} and [secrets.decrypt(value) for value in stored] == [
            b"hunter2"
        ] * (HELD + 2)
    finally:
        db.close()


def rotate_until(data: Path, step: str) -> None:
    """A rotation in a process of its own that is killed at `step`."""
    killed = subprocess.run([sys.executable, "-c", ROTATION, str(data), step], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL


async def rotate(data: Path) -> int:
    db = Database.open(data / "hostd.db")
    try:
        return await rotate_key(db, data / "key")
    finally:
        db.close()


async def test_nothing_that_the_old_key_opens_is_left_in_the_file(data: Path) -> None:
    db = Database.open(data / "hostd.db")
    stored = await db.read(config_vars.of, config_vars.environment(1))
    db.close()
    olds = [var.value for var in stored.values()]
    assert all(old in (data / "hostd.db").read_bytes() for old in olds)
    await rotate(data)
    assert [path.name for path in data.iterdir() if path.name.startswith("hostd.db")] == ["hostd.db"]
    assert not any(old[-40:] in (data / "hostd.db").read_bytes() for old in olds)


async def test_a_new_key_opens_everything_and_the_old_one_nothing(data: Path) -> None:
    old = (data / "key").read_bytes()
    assert await rotate(data) == HELD + 3
    assert await readable(data)
    assert old not in (data / "key").read_bytes()
    assert (data / "key").stat().st_mode & 0o777 == 0o600
    (data / "key").write_bytes(old)
    with pytest.raises(Unavailable, match="cannot be decrypted"):
        await readable(data)


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step_every_secret_is_readable_and_the_next_rotation_ends_it(
    data: Path, step: str
) -> None:
    old = (data / "key").read_bytes()
    rotate_until(data, step)
    assert await readable(data)
    assert await rotate(data) == HELD + 3
    assert await readable(data)
    keys = (data / "key").read_bytes()
    assert (old in keys, len(keys.split())) == (False, 1)


async def test_a_key_file_with_two_keys_is_used_as_it_is_found(data: Path) -> None:
    rotate_until(data, "new key")
    before = (data / "key").read_bytes()
    assert Secrets.open(data / "key").decrypt(Secrets(before.split()[0]).encrypt(b"x")) == b"x"
    assert Secrets(before.split()[0]).decrypt(Secrets.open(data / "key").encrypt(b"x")) == b"x"
    assert (data / "key").read_bytes() == before


async def test_a_damaged_secret_stops_the_rotation_with_both_keys_kept(data: Path) -> None:
    db = Database.open(data / "hostd.db")
    await db.call(config_vars.set, config_vars.group(1), "A", VAR)
    db.close()
    with pytest.raises(Unavailable, match="cannot be decrypted"):
        await rotate(data)
    assert len((data / "key").read_bytes().split()) == 2
