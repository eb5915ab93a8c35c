"""Who gets in over SSH, and what else than git they can do there: nothing."""

import asyncio
import stat
from contextlib import AbstractAsyncContextManager

import asyncssh
import pytest

from hostd.control.apps import create_app
from hostd.control.keys import list_keys, remove_key
from hostd.control.platform import Platform
from hostd.model.app import App
from hostd.ssh.server import Limits
from tests.ssh.conftest import Invite, Person, Serve

TALKATIVE = ("-o", "LogLevel=INFO")


async def test_a_bare_login_is_greeted_and_ended(ada: Person) -> None:
    greeted = await ada.ssh()
    assert greeted.status == 1
    assert "Hi ada! hostd has no shell. Push with git to ssh://git@localhost:2222/APP.git" in greeted.output


@pytest.mark.parametrize(
    "command",
    [
        "id",
        "sh",
        "git-receive-pack",
        "git-upload-archive 'shop.git'",
        "git-receive-pack shop.git",
        "git-receive-pack 'shop.git'; id",
        "git-receive-pack 'shop.git' --stateless-rpc",
        "git-receive-pack  'shop.git'",
        "git-receive-pack 'shop.git'\nid",
        "scp -t /tmp/x",
        "git-receive-pack '" + "a" * 60_000 + "' x",
    ],
)
async def test_no_other_command_runs(ada: Person, shop: App, command: str) -> None:
    refused = await ada.ssh(command)
    assert (refused.status, refused.output) == (
        2,
        " !     only git push, fetch and clone are possible here: there is no shell, and no sftp",
    )


@pytest.mark.parametrize(
    "name", ["../x", "/etc", "shop.git; id", "--help", "", "sh\nop", "\x1b[2J", "é", "/~/shop"]
)
@pytest.mark.parametrize("service", ["git-receive-pack", "git-upload-pack"])
async def test_a_path_that_is_no_app_is_no_app(ada: Person, shop: App, service: str, name: str) -> None:
    refused = await ada.ssh(f"{service} '{name}'")
    assert refused.status == 3
    assert refused.output.startswith(" !     there is no app '")
    assert "\x1b" not in refused.output


async def test_git_lfs_is_told_what_to_do(ada: Person, shop: App) -> None:
    assert "git lfs migrate export" in (await ada.ssh("git-lfs-authenticate shop.git upload")).output


async def test_a_terminal_an_unknown_subsystem_and_sftp_are_refused(ada: Person) -> None:
    assert "PTY allocation request failed" in (await ada.ssh(options=("-tt",))).output
    assert "subsystem request failed" in (await ada.ssh("sftp", options=("-s",))).output
    assert (await ada.ssh("netconf", options=("-s",))).status == 2


async def test_ports_are_forwarded_in_no_direction(ada: Person) -> None:
    away = await ada.ssh(options=(*TALKATIVE, "-W", f"127.0.0.1:{ada.port}"))
    assert (away.status, "open failed" in away.output) == (255, True)
    strict = (*TALKATIVE, "-N", "-o", "ExitOnForwardFailure=yes")
    back = await ada.ssh(options=(*strict, "-R", "127.0.0.1:0:127.0.0.1:1"))
    assert (back.status, "remote port forwarding failed" in back.output) == (255, True)
    sockets = await ada.ssh(options=(*strict, "-R", f"{ada.home}/back:127.0.0.1:1"))
    assert sockets.status == 255
    assert not (ada.home / "back").exists()


async def test_an_unknown_key_is_told_how_to_become_known(
    platform: Platform, serve: Serve, invite: Invite
) -> None:
    eve = await invite("eve", await serve(), known=False)
    refused = await eve.ssh(options=TALKATIVE)
    assert refused.status == 255
    assert refused.output.count("hostd knows none of your SSH keys. Add one: hostd keys add") == 1
    assert "Permission denied" in refused.output


async def test_a_removed_key_opens_nothing_from_then_on(platform: Platform, ada: Person) -> None:
    assert (await ada.ssh()).status == 1
    for key in await list_keys(platform, ada.user):
        assert key.last_used_at
        await remove_key(platform, ada.user, key.id)
    assert "Permission denied" in (await ada.ssh()).output


async def test_passwords_are_not_asked_for(ada: Person) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        async with asyncssh.connect(
            "127.0.0.1", ada.port, username="root", password="root", known_hosts=None, client_keys=None
        ):
            pass


@pytest.mark.parametrize(
    "old",
    [
        ("-o", "KexAlgorithms=diffie-hellman-group14-sha1"),
        ("-o", "KexAlgorithms=diffie-hellman-group14-sha256"),
        ("-c", "aes128-cbc"),
        ("-c", "aes128-ctr", "-m", "hmac-sha1"),
        ("-o", "HostKeyAlgorithms=ssh-rsa"),
    ],
    ids=lambda words: words[-1],
)
async def test_old_algorithms_are_not_spoken(ada: Person, old: tuple[str, ...]) -> None:
    refused = await ada.ssh(options=(*TALKATIVE, *old))
    assert refused.status == 255
    assert "no matching" in refused.output


async def test_the_host_key_is_private_and_stays_the_same(platform: Platform, serve: Serve) -> None:
    await serve()
    path = platform.data / "host_key"
    first = path.read_bytes()
    await serve()
    assert path.read_bytes() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_whoever_does_not_log_in_is_shown_out(serve: Serve) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", await serve(Limits(login_seconds=0.3)))
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"SSH-2.0-hostd\r\n")
    writer.close()
    await writer.wait_closed()


async def test_whoever_does_nothing_is_shown_out(serve: Serve, invite: Invite) -> None:
    ada = await invite("ada", await serve(Limits(idle_seconds=0.5)))
    async with asyncio.timeout(10):
        assert (await ada.ssh(options=("-N",))).status == 255


async def test_there_are_no_more_connections_than_allowed(serve: Serve, invite: Invite) -> None:
    ada = await invite("ada", await serve(Limits(connections_of_one_address=1)))
    async with connection(ada):
        assert (await ada.ssh()).status == 255
    await until_greeted(ada)


async def test_there_are_no_more_sessions_than_allowed(
    platform: Platform, serve: Serve, invite: Invite
) -> None:
    ada = await invite("ada", await serve(Limits(sessions=1)))
    await create_app(platform, ada.user, "shop")
    async with connection(ada) as opened:
        fetching = await opened.create_process("git-upload-pack 'shop.git'")
        await fetching.stdout.read(4)
        with pytest.raises(asyncssh.ChannelOpenError):
            await opened.create_process("id")
        fetching.stdin.write_eof()
        assert (await fetching.wait()).exit_status == 0
        assert (await opened.run("id")).exit_status == 2


def connection(person: Person) -> AbstractAsyncContextManager[asyncssh.SSHClientConnection]:
    """An SSH connection of this person's, with a library that can hold it open."""
    return asyncssh.connect(
        "127.0.0.1", person.port, username="git", known_hosts=None, client_keys=[person.home / "key"]
    )


async def until_greeted(person: Person) -> None:
    """Once the other connection's end has been seen."""
    async with asyncio.timeout(10):
        while (await person.ssh()).status != 1:
            pass
