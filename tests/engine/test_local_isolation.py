"""What an app can reach from its sandbox: its own files and the internet; nothing of the machine, nothing of others."""

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hostd.engine.local import LocalEngine
from hostd.errors import Invalid
from hostd.model.task import Bind, Task
from tests.engine.places import Place
from tests.fakes import instance_spec

pytestmark = pytest.mark.root
PYTHON = "/usr/bin/python3"
PROBE = (Path(__file__).parent / "probe.py").read_text()
REFUSED = {"ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT", "EPERM", "EACCES"}


@contextmanager
def listening(address: str) -> Iterator[int]:
    """A service of the machine; its port."""
    with socket.create_server((address, 0)) as server:
        yield server.getsockname()[1]


def own_address() -> str:
    """An address of this machine's that others can reach."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.connect(("192.0.2.1", 9))
        return str(out.getsockname()[0])


def command_lines() -> bytes:
    """Of every process of the machine."""
    found = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found += path.read_bytes()
    return found


async def probe(engine: LocalEngine, here: Place, **wanted: object) -> dict[str, str]:
    facts = {"files": [], "directories": [], "addresses": {}, "process": os.getpid()} | wanted
    lines: list[str] = []
    task = Task(1, (PYTHON, "-c", PROBE, json.dumps(facts)), {"PATH": "/usr/bin:/bin"}, image=here.image(1))
    result = await engine.run(task, lines.append)
    assert result.status == 0, lines
    found: dict[str, str] = json.loads(lines[-1])
    return found


async def test_nothing_of_the_machine_or_of_other_apps_is_there(local: LocalEngine, here: Place) -> None:
    other = here.tree(2, {"secret.txt": "s"})
    files = [str(other / "secret.txt"), "/etc/shadow", "/etc/hostd", str(Path(__file__))]
    directories = [
        "/root",
        "/home",
        "/boot",
        "/sys/kernel",
        "/sys/class",
        str(here.directory),
        "/srv",
        "/opt",
        "/mnt",
        "/run/netns",
    ]
    found = await probe(local, here, files=files, directories=directories)
    seen = {name: how for name, how in found.items() if name.startswith(("read /", "list /"))}
    assert set(seen.values()) == {"ENOENT"}, seen


async def test_other_processes_cannot_be_seen_or_signalled(local: LocalEngine, here: Place) -> None:
    found = await probe(local, here)
    assert found["processes"].split(",")[0] == "1"
    assert len(found["processes"].split(",")) <= 3
    assert found["kill by number"] == "ESRCH"


async def test_its_environment_is_what_it_was_given(local: LocalEngine, here: Place) -> None:
    found = await probe(local, here)
    assert set(found["environment"].split(",")) <= {"HOME", "PATH", "PWD", "LC_CTYPE"}


async def test_it_has_no_rights_and_cannot_get_any(local: LocalEngine, here: Place) -> None:
    found = await probe(local, here)
    assert found["status"].split() == (
        "CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2".split()
    )
    denied = {
        name: found[name]
        for name in (
            "become root",
            "give away",
            "write /usr",
            "write /etc",
            "write /",
            "write a sysctl",
            "read kernel memory",
            "read kernel log",
            "make a device",
            "lower its badness",
            "raw socket",
            "set the time",
            "nested user namespace",
        )
    }
    assert "done" not in denied.values(), denied


@pytest.fixture
async def calls(local: LocalEngine, here: Place) -> dict[str, str]:
    return await probe(local, here)


async def test_dangerous_system_calls_are_refused(calls: dict[str, str]) -> None:
    names = (
        "ptrace mount unshare setns keyctl bpf io_uring_setup userfaultfd perf_event_open kexec_load init_module "
        "process_vm_readv open_by_handle_at"
    ).split()
    assert {name: calls[name] for name in names} == dict.fromkeys(names, "EPERM")


async def test_clone3_does_not_exist_and_odd_address_families_do_not_either(calls: dict[str, str]) -> None:
    assert calls["clone3"] == "ENOSYS"
    families = ("AF_ALG", "AF_VSOCK", "AF_PACKET", "AF_KEY", "AF_BLUETOOTH")
    assert {calls[family] for family in families} == {"EAFNOSUPPORT"}


async def test_what_ordinary_apps_do_works(local: LocalEngine, here: Place) -> None:
    found = await probe(local, here)
    ordinary = {
        name: found[name]
        for name in (
            "write /app",
            "change a file of /app",
            "write /tmp and run it",
            "write /dev/shm",
            "listen",
            "look up localhost",
            "who am I",
            "semaphores",
            "random",
            "interfaces",
        )
    }
    assert set(ordinary.values()) == {"done"}, ordinary


async def test_no_service_of_the_machine_and_no_other_app_can_be_reached(
    local: LocalEngine, here: Place
) -> None:
    other = await local.start(
        instance_spec((PYTHON, "-m", "http.server", "8080"), id="other", tenant=2, image=here.image(2))
    )
    with listening("127.0.0.1") as on_loopback, listening("") as everywhere:
        gateway = f"{other.endpoint.address.rsplit('.', 2)[0]}.0.1"
        found = await probe(
            local,
            here,
            addresses={
                "loopback": ["127.0.0.1", on_loopback],
                "gateway": [gateway, everywhere],
                "the machine": [own_address(), everywhere],
                "another app": [other.endpoint.address, 8080],
                "cloud metadata": ["169.254.169.254", 80],
                "a private network": ["192.168.255.254", 80],
            },
        )
    ways = {name: how for name, how in found.items() if name.startswith("connect ")}
    assert len(ways) == 6
    assert set(ways.values()) <= REFUSED, ways


async def test_a_change_to_app_is_gone_with_the_sandbox(local: LocalEngine, here: Place) -> None:
    tree = here.tree(1, {"a.txt": "a\n"})
    await probe(local, here)
    assert sorted(path.name for path in tree.iterdir()) == ["a.txt"]
    assert (tree / "a.txt").read_text() == "a\n"


async def test_a_bind_can_be_written_only_where_it_says_so(local: LocalEngine, here: Place) -> None:
    open_, shut = here.tree(1, {"a": "a"}), here.tree(1, {"a": "a"})
    binds = (Bind(open_, "/layers", writable=True), Bind(shut, "/source"))
    lines: list[str] = []
    script = "touch /layers/new; touch /source/new; ls /layers /source"
    await local.run(Task(1, ("sh", "-c", script), {"PATH": "/usr/bin:/bin"}, binds=binds), lines.append)
    assert (open_ / "new").exists()
    assert not (shut / "new").exists()
    assert (open_ / "new").stat().st_uid == (open_ / "a").stat().st_uid


async def test_without_network_there_is_only_loopback(local: LocalEngine, here: Place) -> None:
    lines: list[str] = []
    task = Task(1, (PYTHON, "-c", "import socket; print(socket.if_nameindex())"), {}, network=False)
    await local.run(task, lines.append)
    assert lines == ["[(1, 'lo')]"]


@pytest.mark.network
async def test_the_internet_and_its_names_can_be_reached(local: LocalEngine, here: Place) -> None:
    found = await probe(local, here, addresses={"a registry": [registry(), 80]})
    assert found["connect a registry"] == "done"


def registry() -> str:
    """The host that this machine has its packages from."""
    sources = Path("/etc/apt").glob("sources.list*/**/*")
    texts = [path.read_text() for path in (Path("/etc/apt/sources.list"), *sources) if path.is_file()]
    hosts = re.findall(r"^[^#\n]*http://([^/\s]+)", "\n".join(texts), re.M)
    return str(hosts[0])


async def test_secrets_are_not_in_the_list_of_processes(local: LocalEngine, here: Place) -> None:
    env = {"TOKEN": "hunter2-hunter2"}
    await local.start(instance_spec(("sleep", "60"), image=here.image(), env=env))
    lines = command_lines()
    assert b"bwrap" in lines
    assert b"hunter2" not in lines


async def test_an_environment_cannot_smuggle_in_an_option(local: LocalEngine, here: Place) -> None:
    for env in ({"A": "x\0--bind\0/\0/host"}, {"A=B": "x"}, {"": "x"}):
        with pytest.raises(Invalid):
            await local.start(instance_spec(image=here.image(), env=env))
        with pytest.raises(Invalid):
            await local.run(Task(1, ("true",), env), print)


async def test_an_instance_starts_with_no_signal_ignored_and_a_usual_umask(
    local: LocalEngine, here: Place
) -> None:
    line = "grep SigIgn /proc/self/status; grep SigBlk /proc/self/status; umask"
    instance = await local.start(instance_spec(("sh", "-c", line), image=here.image()))
    assert (await local.wait(instance)).status == 0
    ignored, blocked, umask = [text.split()[-1] for text in local.tail(instance.id, 5)]
    assert int(ignored, 16) & 0x7FFFFFFF == 0  # above are two that belong to libc
    assert (int(blocked, 16), umask) == (0, "0022")
