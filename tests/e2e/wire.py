"""A push written byte by byte: packs and requests that no git client would send."""

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from tests.e2e.server import Project

ZERO = "0" * 40
CAPABILITIES = "report-status side-band-64k object-format=sha1 agent=test"
COMMIT, TREE, BLOB, TAG, OFS_DELTA, REF_DELTA = 1, 2, 3, 4, 6, 7
_NAMES = {COMMIT: "commit", TREE: "tree", BLOB: "blob", TAG: "tag"}
RECEIVE_TYPE = "application/x-git-receive-pack-request"


@dataclass(frozen=True)
class Thing:
    """An object as it lies in a pack. `head` is what stands between size and data of a delta."""

    kind: int
    data: bytes
    head: bytes = b""

    @property
    def sha(self) -> str:
        """Its id, for what is no delta."""
        return hashlib.sha1(
            f"{_NAMES[self.kind]} {len(self.data)}\0".encode() + self.data, usedforsecurity=False
        ).hexdigest()

    def packed(self) -> bytes:
        """Its bytes in a pack (gitformat-pack)."""
        size, first = len(self.data) >> 4, len(self.data) & 15
        return entry_head(self.kind, first, size) + self.head + zlib.compress(self.data, 9)


def entry_head(kind: int, low: int, high: int) -> bytes:
    """Type and size of an object; `low` are the last four bits of the size."""
    out = bytes([kind << 4 | low | (0x80 if high else 0)])
    while high:
        out += bytes([high & 127 | (0x80 if high > 127 else 0)])
        high >>= 7
    return out


def pack(things: Sequence[Thing | bytes], *, count: int | None = None, version: int = 2) -> bytes:
    """A pack; `things` that are bytes go in as they are."""
    body = struct.pack(">4sII", b"PACK", version, len(things) if count is None else count)
    body += b"".join(thing if isinstance(thing, bytes) else thing.packed() for thing in things)
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def tree(*entries: tuple[str, bytes, str]) -> Thing:
    """A tree of (mode, name, id), sorted by nobody."""
    return Thing(
        TREE, b"".join(f"{mode} ".encode() + name + b"\0" + bytes.fromhex(sha) for mode, name, sha in entries)
    )


def commit(root: str, message: str = "hostile") -> Thing:
    """A commit of the tree `root` without parents."""
    who = "t <t@t> 1700000000 +0000"
    return Thing(COMMIT, f"tree {root}\nauthor {who}\ncommitter {who}\n\n{message}\n".encode())


def tree_push(entries: Sequence[tuple[str, bytes, Thing]]) -> bytes:
    """A whole push of one commit with one hand-made tree to main."""
    root = tree(*((mode, name, thing.sha) for mode, name, thing in entries))
    top = commit(root.sha)
    things = list({thing.sha: thing for _, _, thing in entries}.values())
    return request([command(top.sha)], pack([*things, root, top]))


def line(payload: bytes | str) -> bytes:
    """A pkt-line."""
    data = payload.encode() if isinstance(payload, str) else payload
    return f"{len(data) + 4:04x}".encode() + data


def command(new: str, ref: str = "refs/heads/main", old: str = ZERO) -> str:
    """One ref update."""
    return f"{old} {new} {ref}"


def request(
    commands: Sequence[str], packed: bytes = b"", *, capabilities: str = CAPABILITIES, options: bytes = b""
) -> bytes:
    """The body of a push (gitprotocol-pack)."""
    first, *rest = commands
    return line(f"{first}\0{capabilities}") + b"".join(map(line, rest)) + b"0000" + options + packed


def post(project: Project, body: bytes, service: str = "git-receive-pack", **headers: str) -> httpx.Response:
    """Send a body to an App's repository, as the administrator."""
    kind = {"Content-Type": f"application/x-{service}-request"}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(
        f"{project.server.url}/{project.name}.git/{service}",
        content=body,
        headers=kind | more,
        auth=("u", project.server.token),
        timeout=120,
    )
