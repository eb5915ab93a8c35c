# ruff: noqa (a script of the sandbox, no part of the tests)
# mypy: ignore-errors
"""Runs inside a sandbox, as its only program: tries what an app must not be able to do, and what it must.

Arguments: JSON with `files` to read, `addresses` to connect to. Prints JSON: what was tried -> "done" or why not.
"""

import ctypes
import errno
import json
import os
import platform
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
CALLS = {  # x86_64, aarch64
    "ptrace": (101, 117),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "clone3": (435, 435),
    "process_vm_readv": (310, 270),
    "open_by_handle_at": (304, 265),
}


def attempt(action):
    try:
        action()
    except TimeoutError:
        return "ETIMEDOUT"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        return type(error).__name__
    return "done"


def call(numbers, *arguments):
    number = numbers[platform.machine() == "aarch64"]
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")


def write(path, text):
    with open(path, "a") as file:
        file.write(text)


def connect(address, port):
    with socket.create_connection((address, port), timeout=1.5):
        pass


def new_namespaces():
    """By clone(2), which libc uses where clone3 is refused."""
    if libc.syscall(220 if platform.machine() == "aarch64" else 56, 0x10000000 | 17, 0, 0, 0, 0) == 0:
        os._exit(0)
    if ctypes.get_errno():
        raise OSError(ctypes.get_errno(), "")


def execute():
    with open("/tmp/run.sh", "w") as file:
        file.write("#!/bin/sh\nexit 7\n")
    os.chmod("/tmp/run.sh", 0o755)
    if os.waitstatus_to_exitcode(os.system("/tmp/run.sh")) != 7:
        raise OSError(errno.EACCES, "")


def listen():
    with socket.socket() as server:
        server.bind(("0.0.0.0", 8080))
        server.listen()


wanted = json.loads(sys.argv[1])
found = {f"read {path}": attempt(lambda path=path: open(path).read()) for path in wanted["files"]}
found |= {f"list {path}": attempt(lambda path=path: os.listdir(path)) for path in wanted["directories"]}
found |= {f"connect {name}": attempt(lambda to=to: connect(*to)) for name, to in wanted["addresses"].items()}
found |= {name: attempt(lambda n=numbers: call(n, 0, 0, 0, 0, 0)) for name, numbers in CALLS.items()}
families = {"AF_ALG": 38, "AF_VSOCK": 40, "AF_PACKET": 17, "AF_KEY": 15, "AF_BLUETOOTH": 31}
for name, family in families.items():
    found[name] = attempt(lambda family=family: socket.socket(family, socket.SOCK_RAW))
found |= {
    "raw socket": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    "nested user namespace": attempt(new_namespaces),
    "set the time": attempt(lambda: __import__("time").clock_settime(0, 0)),
    "become root": attempt(lambda: os.setuid(0)),
    "give away": attempt(lambda: os.chown("/app", 0, 0)),
    "kill by number": attempt(lambda: os.kill(wanted["process"], 0)),
    "write /usr": attempt(lambda: open("/usr/x", "w")),
    "write /etc": attempt(lambda: open("/etc/x", "w")),
    "write /": attempt(lambda: open("/x", "w")),
    "write a sysctl": attempt(lambda: open("/proc/sys/kernel/hostname", "w")),
    "read kernel memory": attempt(lambda: open("/proc/kcore", "rb").read(1)),
    "read kernel log": attempt(lambda: open("/dev/kmsg")),
    "make a device": attempt(lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(254, 0))),
    "lower its badness": attempt(lambda: write("/proc/self/oom_score_adj", "-900")),
    "write /app": attempt(lambda: write("/app/new", "x")),
    "change a file of /app": attempt(lambda: write("/app/a.txt", "x")),
    "write /tmp and run it": attempt(execute),
    "write /dev/shm": attempt(lambda: write("/dev/shm/x", "x")),
    "listen": attempt(listen),
    "look up localhost": attempt(lambda: socket.getaddrinfo("localhost", 80)),
    "who am I": attempt(lambda: __import__("pwd").getpwuid(os.getuid()).pw_name == "app" or 1 / 0),
    "semaphores": attempt(lambda: __import__("multiprocessing").Lock()),
    "random": attempt(lambda: os.urandom(8)),
    "interfaces": attempt(lambda: socket.if_nameindex()),
}
found["processes"] = ",".join(sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int))
found["environment"] = ",".join(sorted(os.environ))
found["groups"] = str(os.getgroups())
found["status"] = "".join(
    line
    for line in open("/proc/self/status")
    if line.split(":")[0] in ("NoNewPrivs", "Seccomp", "CapEff", "CapBnd")
)
print(json.dumps(found))
