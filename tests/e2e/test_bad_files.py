"""Hostile or broken files in an app: hostd never reads through a link, and names the file and the line."""

import os
import socket
from pathlib import Path

import pytest

from tests.e2e.server import Project
from tests.e2e.test_bad_apps import ANSWER, files
from tests.e2e.test_push import app

RUN = {"Procfile": "web: exec python3 program 200\n", "program": ANSWER}
SHADOW = "root:"


def link(project: Project, name: str, target: str) -> None:
    """Put a symbolic link into the work tree."""
    path = project.directory / name
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def start_over(project: Project) -> None:
    """A new history, of an app that runs."""
    project.git("checkout", "-q", "--orphan", f"b{os.urandom(4).hex()}")
    for old in project.directory.iterdir():
        if old.name != ".git":
            old.unlink()
    project.write(RUN)


@pytest.mark.parametrize("target", ["/etc/shadow", "../../../../etc/shadow", "Procfile", "nowhere", "."])
@pytest.mark.parametrize("name", ["Procfile", "hostd.toml", "project.toml"])
def test_a_file_hostd_reads_that_is_a_link_is_refused(untouched: Project, name: str, target: str) -> None:
    start_over(untouched)
    link(untouched, name, target)
    untouched.commit()
    pushed = untouched.push("--force", "hostd", "HEAD:main", status=1)
    assert f"{name} is a symlink; refused" in pushed.output
    assert SHADOW not in pushed.output


BROKEN = {
    "Procfile of nothing": ("Procfile", b"", "Procfile:1: no process type in it"),
    "Procfile of comments": ("Procfile", b"# web: x\n\n", "Procfile:1: no process type in it"),
    "Procfile in UTF-16": ("Procfile", "web: x".encode("utf-16"), "Procfile:1: UTF-16; save it as UTF-8"),
    "Procfile in Latin-1": ("Procfile", b"web: x\nw\xe9b: y\n", "Procfile:2: not UTF-8"),
    "Procfile with NUL": ("Procfile", b"web: x\nb: y\0\n", "Procfile:2: a NUL character"),
    "Procfile with a line of 1 MB": (
        "Procfile",
        b"web: " + b"x" * 1_000_000,
        "Procfile:1: longer than 32768",
    ),
    "Procfile of 3 MB": ("Procfile", b"#\n" * 1_500_000, "Procfile is larger than 2048 KiB; refused"),
    "Procfile without command": ("Procfile", b"web: x\nworker:\n", "Procfile:2: worker has no command"),
    "Procfile with a type twice": ("Procfile", b"web: x\nweb: y\n", "Procfile:2: web is there twice"),
    "Procfile with a bad type": ("Procfile", b"We b: x\n", "Procfile:1: 'We b' is not a process type"),
    "Procfile with a hostile type": (
        "Procfile",
        b"../../x: y\n",
        "Procfile:1: '../../x' is not a process type",
    ),
    "Procfile that is a script": (
        "Procfile",
        b"#!/bin/sh\nexec x\n",
        "Procfile:2: 'exec x' is not `name: command`",
    ),
    "Procfile with 65 types": (
        "Procfile",
        b"".join(b"p%d: x\n" % number for number in range(65)),
        "Procfile:65: more than 64 process types",
    ),
    "hostd.toml that is none": ("hostd.toml", b"build = [", "hostd.toml: "),
    "hostd.toml with an unknown table": (
        "hostd.toml",
        b"\n[bild]\n",
        "hostd.toml:2: bild: there is no table [bild]",
    ),
    "hostd.toml with too long a number": (
        "hostd.toml",
        b"[health]\ntimeout_seconds = " + b"9" * 5000,
        "hostd.toml: ",
    ),
    "hostd.toml nested deep": (
        "hostd.toml",
        b"a = " + b"[" * 5000 + b"]" * 5000,
        "hostd.toml: nested deeper than 32",
    ),
    "hostd.toml with a key twice": ("hostd.toml", b"[build]\ncommand = 'a'\ncommand = 'b'\n", "hostd.toml: "),
    "a static root above": ("hostd.toml", b"[static]\nroot = '../..'\n", "is not a directory inside the app"),
    "a static root that is absolute": (
        "hostd.toml",
        b"[static]\nroot = '/etc'\n",
        "is not a directory inside the app",
    ),
    "a static root that is not there": (
        "hostd.toml",
        b"[static]\nroot = 'dist'\n",
        "'dist' is not a directory",
    ),
    "a health path that is a URL": ("hostd.toml", b"[health]\npath = 'http://x'\n", "a path starts with /"),
    "a health path with a line": ("hostd.toml", b'[health]\npath = "/a\\r\\nX: y"\n', "a path starts with /"),
    "project.toml that is none": ("project.toml", b"\xff", "project.toml: not UTF-8"),
    "project.toml with an option": (
        "project.toml",
        b'[_]\nschema-version = "0.2"\n[[io.buildpacks.group]]\nuri = "https://127.0.0.1/x.git"\n'
        b'id = "a/b"\nversion = "--upload-pack=id"\n',
        "'--upload-pack=id' is not the name of a branch or tag",
    ),
    "project.toml with a path out": (
        "project.toml",
        b'[_]\nschema-version = "0.2"\n[[io.buildpacks.group]]\nuri = "../../../../etc"\n',
        "build failed",
    ),
    "project.toml with a local repository": (
        "project.toml",
        b'[_]\nschema-version = "0.2"\n[[io.buildpacks.group]]\nuri = "file:///root/x.git"\n',
        "build failed",
    ),
}


@pytest.mark.parametrize(("name", "content", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_named_with_its_line(
    untouched: Project, name: str, content: bytes, words: str
) -> None:
    start_over(untouched)
    (untouched.directory / name).write_bytes(content)
    untouched.commit()
    pushed = untouched.push("--force", "hostd", "HEAD:main", status=1)
    assert words in pushed.output
    assert "! [remote rejected]" in pushed.output
    assert len(pushed.output) < 5000


def test_a_procfile_with_a_mark_and_carriage_returns_is_fine(project: Project) -> None:
    project.write(RUN)
    (project.directory / "Procfile").write_bytes(b"\xef\xbb\xbfweb: exec python3 program 200\r\n\r\n# end")
    project.commit()
    project.push()
    assert project.get().text == "ok"


def test_links_in_an_app_lead_nowhere_outside_its_sandbox(project: Project) -> None:
    show = (
        """
import os
def read(path):
    try: return open(path).read()
    except OSError as error: return error.strerror
names = ("shadow", "above", "root", "data", "loop")
print("\\n".join(f"{name}: {read(name)[:40]}" for name in names), flush=True)
"""
        + ANSWER
    )
    project.write({**files("exec python3 program 200", show)})
    link(project, "shadow", "/etc/shadow")
    link(project, "above", "../../../../../../../../etc/shadow")
    link(project, "root", "/root/.bashrc")
    link(project, "data", f"{project.server.data}/data/key")
    link(project, "loop", "loop")
    project.commit()
    project.push()
    said = project.server.api("GET", f"/apps/{project.name}/logs").text
    for line in (
        "shadow: No such",
        "above: No such",
        "root: No such",
        "data: No such",
        "loop: Too many levels",
    ):
        assert line in said, said


SITE_PATHS = [
    "/.git/config",
    "/%2egit/config",
    "/.env",
    "/sub/.htaccess",
    "/passwd",
    "/etc/passwd",
    "/up/passwd",
    "/../../../../etc/passwd",
    "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/..%5c..%5cetc%5cpasswd",
    "//etc/passwd",
    "/index.html%00.txt",
    "/sub/../.env",
    "/hostd.toml/../../key",
    "/./.git/config",
]


def test_a_site_serves_nothing_but_its_own_plain_files(project: Project) -> None:
    project.write(
        {"index.html": "the page", ".env": "SECRET=1", "sub/.htaccess": "secret", "sub/a.html": "a"}
    )
    link(project, "passwd", "/etc/passwd")
    link(project, "etc", "/etc")
    link(project, "up", "../../../../../../etc")
    link(project, "self.html", "index.html")
    project.commit()
    project.push()
    assert project.get().text == "the page"
    for path in SITE_PATHS:
        answer = raw_get(project, path)
        assert answer.split(b" ", 2)[1] in (b"400", b"403", b"404", b"301"), (path, answer)
        assert b"root:x:0" not in answer
        assert b"secret" not in answer.lower()


def raw_get(project: Project, path: str) -> bytes:
    """GET of a path as it is, which HTTP libraries would put in order first."""
    with socket.create_connection(("127.0.0.1", project.server.http_port), timeout=10) as client:
        host = f"{project.name}.localhost"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    return answer


def test_a_site_whose_root_is_a_link_out_is_refused(project: Project) -> None:
    project.write({"hostd.toml": "[static]\nroot = 'dist'\n"})
    link(project, "dist", "/etc")
    project.commit()
    pushed = project.push(status=1)
    assert "'dist' is not a directory after the build" in pushed.output


def test_names_that_are_hard_to_print_are_deployed(project: Project) -> None:
    project.write(RUN)
    names = [
        b"\xff\xfe",
        b"new\nline",
        b"tab\t",
        b"\x1b[31mred",
        "\u202egnp.exe".encode(),
        b"CON",
        b"dot.",
        b"a\\b",
        b"Aa",
        b"aA",
        b"-rf",
    ]
    for name in names:
        Path(os.fsdecode(os.fsencode(project.directory) + b"/" + name)).write_text("x")
    project.commit()
    assert "is running v1" in project.push().output
    project.deploy({**app("two")})


def test_an_lfs_pointer_is_refused_by_name(project: Project) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 12\n"
    project.write({**RUN, "model.bin": pointer, ".gitattributes": "*.bin filter=lfs\n"}).commit()
    assert "LFS pointer found at 'model.bin'" in project.push(status=1).output
