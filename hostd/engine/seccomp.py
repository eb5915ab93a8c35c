"""The system calls no sandbox may make, as a filter program for the kernel (seccomp(2), classic BPF), made here.

A denylist: what a program that serves the web needs works, what only widens the kernel's attack surface does not.
"""

import errno
import platform
import struct
from collections.abc import Mapping
from types import MappingProxyType

from hostd.errors import Unavailable

ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data, linux/seccomp.h
_X32 = 0x40000000  # x86-64's second way to number the same calls
_NEW_NAMESPACE = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6: no AF_ALG, AF_VSOCK, AF_PACKET, AF_KEY, ...
_NETLINK, _NETLINK_ROUTE = 16, 0  # getifaddrs(3) needs it

_EVERYWHERE = MappingProxyType(
    {
        "io_uring_setup": 425,
        "io_uring_enter": 426,
        "io_uring_register": 427,
        "open_tree": 428,
        "move_mount": 429,
        "fsopen": 430,
        "fsconfig": 431,
        "fsmount": 432,
        "fspick": 433,
        "pidfd_getfd": 438,
        "mount_setattr": 442,
        "quotactl_fd": 443,
    }
)
_X86_64 = MappingProxyType(
    {
        "ptrace": 101,
        "syslog": 103,
        "modify_ldt": 154,
        "pivot_root": 155,
        "chroot": 161,
        "acct": 163,
        "mount": 165,
        "umount2": 166,
        "swapon": 167,
        "swapoff": 168,
        "reboot": 169,
        "iopl": 172,
        "ioperm": 173,
        "init_module": 175,
        "delete_module": 176,
        "quotactl": 179,
        "kexec_load": 246,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "unshare": 272,
        "perf_event_open": 298,
        "fanotify_init": 300,
        "open_by_handle_at": 304,
        "setns": 308,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "kcmp": 312,
        "finit_module": 313,
        "kexec_file_load": 320,
        "bpf": 321,
        "userfaultfd": 323,
    }
)
_AARCH64 = MappingProxyType(
    {
        "umount2": 39,
        "mount": 40,
        "pivot_root": 41,
        "chroot": 51,
        "quotactl": 60,
        "acct": 89,
        "unshare": 97,
        "kexec_load": 104,
        "init_module": 105,
        "delete_module": 106,
        "syslog": 116,
        "ptrace": 117,
        "reboot": 142,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "swapon": 224,
        "swapoff": 225,
        "perf_event_open": 241,
        "fanotify_init": 262,
        "open_by_handle_at": 265,
        "setns": 268,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "kcmp": 272,
        "finit_module": 273,
        "bpf": 280,
        "userfaultfd": 282,
        "kexec_file_load": 294,
    }
)
# AUDIT_ARCH_*, the denied calls, and the numbers of socket, ioctl and clone (clone3 is 435 on both)
_MACHINES: Mapping[str, tuple[int, Mapping[str, int], tuple[int, int, int]]] = MappingProxyType(
    {"x86_64": (0xC000003E, _X86_64, (41, 16, 56)), "aarch64": (0xC00000B7, _AARCH64, (198, 29, 220))}
)
_CLONE3 = 435


def program(machine: str = "") -> bytes:
    """The filter for this machine, or for `machine` ("x86_64", "aarch64"). Raises Unavailable for another."""
    name = machine or platform.machine()
    if name not in _MACHINES:
        raise Unavailable(f"hostd has no system call filter for {name}", hint="use x86_64 or aarch64")
    architecture, own, (socket, ioctl, clone) = _MACHINES[name]
    lines = _load(_ARCHITECTURE) + _jump(_EQUAL, architecture, 1, 0) + _deny(errno.ENOSYS) + _load(_NUMBER)
    if name == "x86_64":
        lines += _if(_AT_LEAST, _X32, _deny(errno.ENOSYS))
    for number in sorted({*own.values(), *_EVERYWHERE.values()}):
        lines += _if(_EQUAL, number, _deny(errno.EPERM))
    lines += _if(_EQUAL, _CLONE3, _deny(errno.ENOSYS))  # its flags lie in memory; libc falls back to clone
    lines += _if(
        _EQUAL, clone, _load(_argument(0)) + _if(_ANY_BIT, _NEW_NAMESPACE, _deny(errno.EPERM)) + _allow()
    )
    lines += _if(
        _EQUAL, ioctl, _load(_argument(1)) + _any_of(_TERMINAL_INJECTION, _deny(errno.EPERM)) + _allow()
    )
    lines += _if(_EQUAL, socket, _socket())
    return b"".join(lines + _allow())


def _socket() -> list[bytes]:
    netlink = _load(_argument(2)) + _if(_EQUAL, _NETLINK_ROUTE, _allow()) + _deny(errno.EPROTONOSUPPORT)
    return (
        _load(_argument(0))
        + _any_of(_FAMILIES, _allow())
        + _if(_EQUAL, _NETLINK, netlink)
        + _deny(errno.EAFNOSUPPORT)
    )


def _any_of(values: tuple[int, ...], then: list[bytes]) -> list[bytes]:
    return [line for value in values for line in _if(_EQUAL, value, then)]


def _if(test: int, value: int, then: list[bytes]) -> list[bytes]:
    return _jump(test, value, 0, len(then)) + then


def _argument(index: int) -> int:
    return _FIRST_ARGUMENT + 8 * index  # its lower half: both machines are little-endian


def _load(offset: int) -> list[bytes]:
    return [struct.pack("=HBBI", _LOAD, 0, 0, offset)]


def _jump(test: int, value: int, if_true: int, if_false: int) -> list[bytes]:
    return [struct.pack("=HBBI", test, if_true, if_false, value)]


def _allow() -> list[bytes]:
    return [struct.pack("=HBBI", _RETURN, 0, 0, ALLOW)]


def _deny(number: int) -> list[bytes]:
    return [struct.pack("=HBBI", _RETURN, 0, 0, _ERRNO | number)]
