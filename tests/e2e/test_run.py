"""`hostd run` as people use it: at a terminal, in a pipe, and left to itself."""

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from tests.e2e.server import HOSTD, Project, Server, wait_for

APP = {
    "start.sh": "exec python3 -m http.server -b 0.0.0.0 $PORT\n",
    "Procfile": "web: bash start.sh\nlist: ls -1\nworker: sleep 600\n",
    "a.txt": "hello\n",
}


@pytest.fixture(scope="module")
def shop(server: Server) -> Project:
    """An App that is deployed, and that the CLI is logged in for."""
    project = server.create(f"runs-{os.getpid()}")
    project.deploy(APP)
    server.cli("login", server.url, "--token", server.token)
    return project


def run(
    shop: Project, *words: str, into: bytes = b"", options: tuple[str, ...] = ()
) -> tuple[int, bytes, bytes]:
    """Run `hostd run` without a terminal: its status, stdout and stderr."""
    done = subprocess.run(
        [HOSTD, "run", "-a", shop.name, *options, *words],
        env=shop.server.env, input=into, capture_output=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


class Screen:
    """A terminal with `hostd run` in it."""

    def __init__(self, shop: Project, *words: str) -> None:
        self.master, terminal = pty.openpty()
        self.resize(100, 30, terminal)
        self.process = subprocess.Popen(
            [HOSTD, "run", "-a", shop.name, *words],
            env=shop.server.env | {"TERM": "xterm-256color"},
            stdin=terminal, stdout=terminal, stderr=terminal,
        )  # fmt: skip
        os.close(terminal)
        os.set_blocking(self.master, False)
        self.seen = ""

    def resize(self, columns: int, rows: int, terminal: int | None = None) -> None:
        """Change the size of the window."""
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.master if terminal is None else terminal, termios.TIOCSWINSZ, size)

    def read(self) -> str:
        """All that was shown so far."""
        with contextlib.suppress(OSError):  # nothing, or nobody is there any more
            self.seen += os.read(self.master, 65536).decode(errors="replace")
        return self.seen

    def wait_for(self, text: str) -> None:
        """Until `text` was shown."""
        wait_for(lambda: text in self.read(), 20, lambda: f"{text!r} is not in {self.seen!r}")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def end(self) -> int:
        """Wait for the end; the exit status."""
        wait_for(lambda: bool(self.read() is None or self.process.poll() is not None), 20, lambda: self.seen)
        os.close(self.master)
        return self.process.wait(10)


def test_a_command_sees_the_release_and_its_exit_status_comes_back(shop: Project) -> None:
    assert run(shop, "cat a.txt; echo oops >&2; echo $HOSTD_RELEASE-$HOSTD_PROCESS; exit 7") == (
        7, b"hello\nv1-run\n", b"oops\n",
    )  # fmt: skip
    assert run(shop, "kill -TERM $$")[0] == 143


def test_several_words_are_these_very_words(shop: Project) -> None:
    assert run(shop, "--", "echo", "$HOME", "a  b") == (0, b"$HOME a  b\n", b"")


def test_what_is_piped_in_comes_through_whole(shop: Project) -> None:
    data = os.urandom(3 << 20)
    status, out, _ = run(shop, "cat", into=data)
    assert (status, out == data) == (0, True)


def test_a_process_type_stands_for_its_command(shop: Project) -> None:
    assert run(shop, "list", "a.txt") == (0, b"a.txt\n", b"")


def test_variables_and_a_release_can_be_chosen(shop: Project) -> None:
    assert run(shop, "echo $DEBUG", options=("--env", "DEBUG=1", "--release", "v1"))[1] == b"1\n"
    status, _, said = run(shop, "true", options=("--release", "v99"))
    assert (status, b"there is no release v99" in said) == (3, True)


def test_a_shell_at_a_terminal(shop: Project) -> None:
    screen = Screen(shop, "bash --norc")
    screen.wait_for("$ ")
    screen.type("stty size; echo $TERM\r")
    screen.wait_for("30 100\r\nxterm-256color")
    screen.resize(132, 43)
    screen.process.send_signal(signal.SIGWINCH)
    screen.type("sleep 0.5; stty size\r")
    screen.wait_for("43 132")
    screen.type("echo in $((1 + 1)); sleep 60\r")
    screen.wait_for("in 2")
    screen.type("\x03")
    screen.wait_for("^C")
    screen.type("echo alive $((40 + 2))\r")
    screen.wait_for("alive 42")
    screen.type("exit 5\r")
    assert screen.end() == 5


def test_hanging_up_ends_the_command(shop: Project) -> None:
    screen = Screen(shop, "echo begun; sleep 4242")
    screen.wait_for("begun")
    assert running("sleep 4242")
    screen.process.kill()
    screen.end()
    wait_for(lambda: not running("sleep 4242"), 20, "the command goes on")
    assert "run." in shop.server.cli("logs", "-a", shop.name, "-p", "run")


@pytest.mark.slow
def test_hanging_up_is_noticed_while_the_command_does_not_read(shop: Project) -> None:
    with Path("/dev/zero").open("rb") as zeros, subprocess.Popen(
        [HOSTD, "run", "-a", shop.name, "echo begun; exec sleep 4243"],
        env=shop.server.env, stdin=zeros, stdout=subprocess.PIPE,
    ) as piping:  # fmt: skip
        assert piping.stdout and piping.stdout.readline() == b"begun\n"
        piping.kill()
    wait_for(lambda: not running("sleep 4243"), 60, "the command goes on")


def test_a_flood_into_a_slow_reader_waits(shop: Project) -> None:
    before = memory_of(shop.server)
    with subprocess.Popen(
        [HOSTD, "run", "-a", shop.name, "cat /dev/zero"], env=shop.server.env, stdout=subprocess.PIPE
    ) as flood:
        assert flood.stdout
        flood.stdout.read(50 << 20)
        assert memory_of(shop.server) - before < 20 << 20
        flood.kill()


def test_what_is_left_to_itself_goes_on_over_a_restart_of_hostd(shop: Project) -> None:
    server = shop.server
    name = server.cli("run", "-a", shop.name, "--detach", "echo one; sleep 3; echo two; exit 3").strip()
    number = name.removeprefix("run.")
    assert server.process
    server.kill()
    server.start()

    def ended() -> bool:
        return bool(server.api("GET", f"/apps/{shop.name}/runs/{number}").json()["state"] == "ended")

    wait_for(ended, 20, "it did not end")
    told = server.api("GET", f"/apps/{shop.name}/runs/{number}").json()
    assert (told["status"], told["output"]) == (3, "one\ntwo\n")
    assert f"{number} " in server.cli("runs", "-a", shop.name)


def running(command: str) -> bool:
    """Whether a process with this command line runs on the machine."""
    words = command.encode().replace(b" ", b"\0") + b"\0"
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == words:
                return True
        except OSError:
            continue
    return False


def memory_of(server: Server) -> int:
    """Resident bytes of hostd."""
    assert server.process
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096
