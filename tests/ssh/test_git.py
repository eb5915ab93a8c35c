"""git over SSH, with real git on both sides: pushes of tags, which do not deploy, refusals, fetches."""

import asyncio
import os
from pathlib import Path

import asyncssh
import pytest

from hostd.control.apps import create_app
from hostd.control.platform import Platform
from hostd.model.app import App
from tests.eventually import until
from tests.ssh.conftest import Invite, Person


async def test_a_tag_is_pushed_and_cloned_back(ada: Person, shop: App) -> None:
    pushed = await ada.git("push", ada.url("shop"), "v1")
    assert pushed.status == 0, pushed.output
    assert "remote:        refs/tags/v1 stored; only branches deploy" in pushed.output
    assert "[new tag]         v1 -> v1" in pushed.output
    assert (await ada.git("clone", "-q", "-b", "v1", ada.url("shop"), "copy")).status == 0
    head = await ada.git("rev-parse", "HEAD")
    assert (await ada.git("-C", "copy", "rev-parse", "HEAD")).output == head.output


async def test_a_second_commit_is_fetched(ada: Person, shop: App) -> None:
    await ada.git("push", ada.url("shop"), "v1")
    await ada.git("clone", "-q", "-b", "v1", ada.url("shop"), "copy")
    await ada.git("commit", "-q", "--allow-empty", "-m", "second")
    assert (
        "[new tag]         HEAD -> v2" in (await ada.git("push", ada.url("shop"), "HEAD:refs/tags/v2")).output
    )
    assert (await ada.git("-C", "copy", "fetch", "-q", "--tags")).status == 0
    assert (await ada.git("-C", "copy", "log", "-1", "--format=%s", "v2")).output == "second"


async def test_pushing_what_is_there_already_says_so(ada: Person, shop: App) -> None:
    await ada.git("push", ada.url("shop"), "v1")
    assert (await ada.git("push", ada.url("shop"), "v1")).output == "Everything up-to-date"


async def test_a_tag_is_removed(ada: Person, shop: App) -> None:
    await ada.git("push", ada.url("shop"), "v1")
    removed = await ada.git("push", ada.url("shop"), "--delete", "v1")
    assert "[deleted]         v1" in removed.output
    assert (await ada.git("ls-remote", ada.url("shop"))).output == ""


async def test_a_refused_push_shows_the_reason_and_keeps_nothing(
    platform: Platform, ada: Person, shop: App
) -> None:
    refused = await ada.git("push", "-o", "no-such=1", ada.url("shop"), "v1")
    assert refused.status == 1
    assert "remote:  !     unknown push option 'no-such'" in refused.output
    assert "! [remote rejected] v1 -> v1 (unknown push option 'no-such')" in refused.output
    assert objects(platform, shop) == []


async def test_a_push_of_many_bytes_arrives_whole(ada: Person, shop: App) -> None:
    (ada.home / "work/noise").write_bytes(os.urandom(16 * 1024 * 1024))
    await ada.git("add", "noise")
    await ada.git("commit", "-q", "-m", "much")
    assert (await ada.git("push", ada.url("shop"), "HEAD:refs/tags/v1")).status == 0
    await ada.git("clone", "-q", "-b", "v1", ada.url("shop"), "copy")
    assert (await ada.git("diff", "--no-index", "--quiet", "noise", "copy/noise")).status == 0


async def test_somebody_elses_app_is_not_there(
    platform: Platform, ada: Person, shop: App, invite: Invite
) -> None:
    bob = await invite("bob", ada.port)
    for words in (("push", bob.url("shop"), "v1"), ("fetch", bob.url("shop"))):
        refused = await bob.git(*words)
        assert refused.status == 128
        assert " !     there is no app 'shop'" in refused.output
    assert objects(platform, shop) == []


async def test_a_fetch_speaks_the_protocol_that_the_client_asks_for(ada: Person, shop: App) -> None:
    await ada.git("push", ada.url("shop"), "v1")
    answer = await ada.ssh("git-upload-pack 'shop.git'", options=("-o", "SetEnv=GIT_PROTOCOL=version=2"))
    assert answer.output.startswith("000eversion 2")
    answer = await ada.ssh("git-upload-pack '/shop'", given=b"0000")
    assert answer.output[4:44] == (await ada.git("rev-parse", "HEAD")).output


@pytest.mark.parametrize(
    "variable", ["GIT_PROTOCOL=version=2:x", "GIT_DIR=/etc", "GIT_CONFIG_COUNT=x", "PATH=/", "GIT_TRACE=1"]
)
async def test_other_environment_is_ignored(ada: Person, shop: App, variable: str) -> None:
    plain = await ada.ssh("git-upload-pack 'shop.git'", given=b"0000")
    varied = await ada.ssh("git-upload-pack 'shop.git'", options=("-o", f"SetEnv={variable}"), given=b"0000")
    assert varied == plain


async def test_a_client_that_vanishes_in_its_push_leaves_nothing(
    platform: Platform, ada: Person, shop: App
) -> None:
    connecting = asyncssh.connect(
        "127.0.0.1", ada.port, username="git", known_hosts=None, client_keys=[ada.home / "key"], encoding=None
    )
    async with connecting as connection:
        pushing = await connection.create_process("git-receive-pack 'shop.git'")
        await pushing.stdout.read(4)
        command = b"0" * 40 + b" " + b"1" * 40 + b" refs/heads/topic\0report-status side-band-64k"
        pushing.stdin.write(b"%04x%s0000PACK\0\0\0\2\0\0\0\1" % (len(command) + 4, command))
        await until(lambda: len(objects(platform, shop)) > 0)
        connection.abort()
    await until(lambda: objects(platform, shop) == [])


async def test_many_at_once_are_all_served(ada: Person, shop: App) -> None:
    await ada.ssh()  # learn the host key once
    results = await asyncio.gather(*(ada.git("ls-remote", ada.url("shop")) for _ in range(10)))
    assert [result.status for result in results] == [0] * 10


async def test_apps_are_found_with_and_without_slash_and_ending(platform: Platform, ada: Person) -> None:
    await create_app(platform, ada.user, "other")
    for path in ("other", "other.git", "/other", "/other.git"):
        answer = await ada.ssh(f"git-upload-pack '{path}'", given=b"0000")
        assert answer.status == 0, (path, answer)


def objects(platform: Platform, app: App) -> list[Path]:
    """What there is of objects in the App's repository, quarantines included."""
    root = platform.repositories.path(app) / "objects"
    return [path for path in root.rglob("*") if path.is_file() or path.name.startswith("tmp_objdir")]
