"""The filter, run by an interpreter of the few instructions it has: so the one of the other machine is tested too."""

import errno
import struct

import pytest

from hostd.engine import seccomp
from hostd.errors import Unavailable

X86_64, AARCH64, I386 = 0xC000003E, 0xC00000B7, 0x40000003
ARCHITECTURES = {"x86_64": X86_64, "aarch64": AARCH64}
NUMBERS = {  # asm/unistd_64.h, asm-generic/unistd.h
    "x86_64": {
        "read": 0,
        "socket": 41,
        "ioctl": 16,
        "clone": 56,
        "ptrace": 101,
        "mount": 165,
        "unshare": 272,
    },
    "aarch64": {
        "read": 63,
        "socket": 198,
        "ioctl": 29,
        "clone": 220,
        "ptrace": 117,
        "mount": 40,
        "unshare": 97,
    },
}
ALLOWED = 0


def answer(machine: str, number: int, *arguments: int, architecture: int = 0) -> int:
    """0 if the call is allowed, else the errno it gets."""
    program = seccomp.program(machine)
    words = (*arguments, *[0] * (6 - len(arguments)))
    data = struct.pack("=iIQ6Q", number, architecture or ARCHITECTURES[machine], 0, *words)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x06:
            return ALLOWED if value == seccomp.ALLOW else value & 0xFFFF
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}
            at += if_true if holds[code] else if_false


machines = pytest.mark.parametrize("machine", ["x86_64", "aarch64"])


@machines
def test_ordinary_calls_are_allowed(machine: str) -> None:
    assert answer(machine, NUMBERS[machine]["read"], 0, 0, 10) == ALLOWED


@machines
@pytest.mark.parametrize("name", ["ptrace", "mount", "unshare"])
def test_dangerous_calls_are_refused(machine: str, name: str) -> None:
    assert answer(machine, NUMBERS[machine][name]) == errno.EPERM


@machines
@pytest.mark.parametrize("number", [425, 426, 427, 428, 430, 438, 442])
def test_calls_that_have_one_number_everywhere_are_refused(machine: str, number: int) -> None:
    assert answer(machine, number) == errno.EPERM


@machines
@pytest.mark.parametrize(
    ("family", "protocol", "expected"),
    [
        (1, 0, ALLOWED),
        (2, 6, ALLOWED),
        (10, 6, ALLOWED),
        (16, 0, ALLOWED),
        (16, 21, errno.EPROTONOSUPPORT),
        (17, 3, errno.EAFNOSUPPORT),
        (38, 0, errno.EAFNOSUPPORT),
        (40, 0, errno.EAFNOSUPPORT),
    ],
)
def test_only_some_families_of_sockets_exist(machine: str, family: int, protocol: int, expected: int) -> None:
    assert answer(machine, NUMBERS[machine]["socket"], family, 1, protocol) == expected


@machines
def test_threads_and_children_may_be_made_but_no_namespaces(machine: str) -> None:
    clone = NUMBERS[machine]["clone"]
    assert answer(machine, clone, 17) == ALLOWED
    assert answer(machine, clone, 0x3D0F00) == ALLOWED  # as pthread_create does
    assert answer(machine, clone, 0x10000000 | 17) == errno.EPERM
    assert answer(machine, 435) == errno.ENOSYS


@machines
def test_nothing_can_be_typed_into_a_terminal(machine: str) -> None:
    assert answer(machine, NUMBERS[machine]["ioctl"], 0, 0x5401) == ALLOWED
    assert answer(machine, NUMBERS[machine]["ioctl"], 0, 0x5412) == errno.EPERM


def test_other_ways_to_number_calls_are_closed() -> None:
    assert answer("x86_64", 0, architecture=I386) == errno.ENOSYS
    assert answer("x86_64", 0x40000000) == errno.ENOSYS


def test_a_machine_without_a_filter_is_told_so() -> None:
    with pytest.raises(Unavailable, match="no system call filter for riscv64"):
        seccomp.program("riscv64")
