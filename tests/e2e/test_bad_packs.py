"""Trees no git client would make, and little packs that stand for much: refused, and nothing is kept."""

import hashlib
import zlib

import pytest

from tests.e2e.server import Project, wait_for
from tests.e2e.test_bad_requests import kept
from tests.e2e.wire import (
    BLOB,
    OFS_DELTA,
    TAG,
    TREE,
    Thing,
    command,
    commit,
    entry_head,
    pack,
    post,
    request,
    tree,
)

MIB = 1024 * 1024
NOTHING = Thing(BLOB, b"")
EMPTY = Thing(TREE, b"")
LINK = Thing(BLOB, b"/etc/shadow")


def zeros(size: int) -> bytes:
    """A blob of nothing but zeros, as it lies in a pack."""
    packing = zlib.compressobj(1)
    packed = b"".join(packing.compress(bytes(MIB)) for _ in range(size // MIB)) + packing.flush()
    return entry_head(BLOB, size & 15, size >> 4) + packed


def blob_of_zeros(size: int) -> str:
    """Its id."""
    digest = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    for _ in range(size // MIB):
        digest.update(bytes(MIB))
    return digest.hexdigest()


def pushed(project: Project, root: Thing, *things: Thing | bytes) -> bytes:
    """Push a commit of the tree `root` to main; the answer."""
    top = commit(root.sha)
    return post(project, request([command(top.sha)], pack([*things, root, top]))).content


def refused(project: Project, answer: bytes, words: str) -> None:
    """The answer holds `words` and a refusal, and nothing is left."""
    assert words.encode() in answer, answer[-2000:]
    assert b"ng refs/heads/main" in answer
    assert b"ok refs/heads/main" not in answer
    wait_for(lambda: kept(project) == [], 5, lambda: f"left: {kept(project)}")


TREES = {
    ".git": ([("100644", b".git", NOTHING.sha)], "hasDotgit"),
    ".git in capitals": ([("100644", b".GIT", NOTHING.sha)], "hasDotgit"),
    ".git of HFS": ([("100644", ".g\u200cit".encode(), NOTHING.sha)], "hasDotgit"),
    ".git of NTFS": ([("100644", b"git~1", NOTHING.sha)], "hasDotgit"),
    "..": ([("100644", b"..", NOTHING.sha)], "hasDotdot"),
    ".": ([("100644", b".", NOTHING.sha)], "hasDot"),
    "a path": ([("100644", b"../../etc/cron.d/x", NOTHING.sha)], "fullPathname"),
    "an absolute path": ([("100644", b"/etc/cron.d/x", NOTHING.sha)], "fullPathname"),
    "no name": ([("100644", b"", NOTHING.sha)], "empty filename in tree entry"),
    "one name twice": ([("100644", b"a", NOTHING.sha)] * 2, "duplicateEntries"),
    "a file and a directory": (
        [("120000", b"a", LINK.sha), ("100644", b"a-", NOTHING.sha), ("40000", b"a", EMPTY.sha)],
        "duplicateEntries",
    ),
    "no order": ([("100644", b"b", NOTHING.sha), ("100644", b"a", NOTHING.sha)], "treeNotSorted"),
    "no object": ([("100644", b"a", "0" * 40)], "nullSha1"),
    "set-uid": ([("104755", b"a", NOTHING.sha)], "badFilemode"),
    "a device": ([("20666", b"a", NOTHING.sha)], "badFilemode"),
    ".gitmodules that is a link": ([("120000", b".gitmodules", LINK.sha)], "gitmodulesSymlink"),
}


@pytest.mark.parametrize(("entries", "words"), TREES.values(), ids=TREES)
def test_a_tree_that_git_would_not_make_is_refused_by_name(
    untouched: Project, entries: list[tuple[str, bytes, str]], words: str
) -> None:
    refused(untouched, pushed(untouched, tree(*entries), NOTHING, EMPTY, LINK), words)


@pytest.mark.parametrize(
    "text",
    [
        '[submodule "x"]\n\tpath = x\n\turl = -u./x\n',
        '[submodule "x"]\n\tpath = x\n\turl = https://h/x\n\tupdate = !id\n',
        '[submodule "../../x"]\n\tpath = x\n\turl = https://h/x\n',
        '[submodule "x"]\n\tpath = -x\n\turl = https://h/x\n',
    ],
)
def test_a_submodule_that_is_a_command_is_refused(untouched: Project, text: str) -> None:
    modules = Thing(BLOB, text.encode())
    root = tree(("100644", b".gitmodules", modules.sha), ("160000", b"x", "1" * 40))
    refused(untouched, pushed(untouched, root, modules), "gitmodules")


def test_a_submodule_is_refused_by_name(untouched: Project) -> None:
    refused(untouched, pushed(untouched, tree(("160000", b"lib", "1" * 40))), "submodule 'lib' refused")


def test_a_file_of_a_gibibyte_in_a_pack_of_a_mebibyte_is_refused(untouched: Project) -> None:
    answer = pushed(untouched, tree(("100644", b"big", blob_of_zeros(1024 * MIB))), zeros(1024 * MIB))
    refused(untouched, answer, "a file of 1024 MiB in this push; the limit is 100 MiB per file")


def test_many_files_that_are_large_together_are_refused(untouched: Project) -> None:
    """Each of them is one blob, that a pack holds once."""
    sha = blob_of_zeros(100 * MIB)
    entries = [("100644", f"{number:02}".encode(), sha) for number in range(11)]
    answer = pushed(untouched, tree(*entries), zeros(100 * MIB))
    refused(untouched, answer, "the files are larger than 1024 MiB in all")


def test_a_directory_of_17_mib_is_refused(untouched: Project) -> None:
    entries = [("100644", f"{number:0200}".encode(), NOTHING.sha) for number in range(78_000)]
    refused(untouched, pushed(untouched, tree(*entries), NOTHING), "a commit, tag or directory of 17 MiB")


def test_too_many_files_are_refused(untouched: Project) -> None:
    inner = tree(*(("100644", f"{number:04}".encode(), NOTHING.sha) for number in range(1000)))
    root = tree(*(("40000", f"{number:03}".encode(), inner.sha) for number in range(101)))
    refused(
        untouched,
        pushed(untouched, root, NOTHING, inner),
        "too many files and directories (more than 100000)",
    )


@pytest.mark.parametrize("leaf", [EMPTY, tree(("100644", b"f", NOTHING.sha))], ids=["no files", "files"])
def test_a_tree_without_end_is_refused(untouched: Project, leaf: Thing) -> None:
    """Ten directories in each of ten in each of ten, twelve deep."""
    levels = [leaf]
    for _ in range(12):
        levels.append(tree(*(("40000", str(number).encode(), levels[-1].sha) for number in range(10))))
    answer = pushed(untouched, levels[-1], NOTHING, *levels[:-1])
    refused(untouched, answer, "too many files and directories")


def test_a_path_too_deep_and_a_name_too_long_are_refused(untouched: Project) -> None:
    levels = [tree(("100644", b"f", NOTHING.sha))]
    for _ in range(4096):
        levels.append(tree(("40000", b"d", levels[-1].sha)))
    refused(
        untouched,
        pushed(untouched, levels[-1], NOTHING, *levels[:-1]),
        "path too deep (4097 levels, at most 64)",
    )
    root = tree(("100644", b"x" * 5000, NOTHING.sha))
    refused(untouched, pushed(untouched, root, NOTHING), "file name too long (at most 255 bytes): 'xxxx")


def varint(number: int) -> bytes:
    """A size at the head of a delta."""
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def repeating(size: int, times: int, more: bytes = b"") -> bytes:
    """A delta that makes `times` copies of a base of `size` bytes, less than 16 MiB, and adds `more`."""
    copy = b"\xf0" + size.to_bytes(3, "little")
    added = bytes([len(more)]) + more if more else b""
    return varint(size) + varint(size * times + len(more)) + copy * times + added


def bomb(width: int) -> tuple[str, list[bytes]]:
    """A 64 KiB blob of which deltas in a chain make 8 MiB, and `width` further ones 80 MiB each."""
    data = bytes(65535)
    chain = [Thing(BLOB, data).packed()]
    for times in (16, 8):
        packed = Thing(OFS_DELTA, repeating(len(data), times), offset(len(chain[-1]))).packed()
        chain.append(packed)
        data = data * times
    back = len(chain[-1])
    for number in range(width):
        delta = repeating(len(data), 10, number.to_bytes(4, "big"))
        chain.append(Thing(OFS_DELTA, delta, offset(back)).packed())
        back += len(chain[-1])
    return Thing(BLOB, data).sha, chain


def offset(back: int) -> bytes:
    """How far back the base of a delta lies."""
    out = bytes([back & 127])
    back >>= 7
    while back:
        back -= 1
        out = bytes([back & 127 | 128]) + out
        back >>= 7
    return out


def test_a_bomb_of_deltas_is_refused(untouched: Project) -> None:
    sha, chain = bomb(13)
    assert sum(map(len, chain)) < 10_000
    answer = pushed(untouched, tree(("100644", b"a", sha)), *chain)
    refused(untouched, answer, "unpacked size 1")


def test_a_history_that_git_would_warn_of_at_every_step_is_taken(project: Project) -> None:
    """Ten thousand tags without a tagger: git may not stop because nobody has read its warnings yet."""
    top = commit(EMPTY.sha)
    tags = [
        Thing(TAG, f"object {top.sha}\ntype commit\ntag t{number}\n\nx\n".encode())
        for number in range(10_000)
    ]
    trees = [tree(("0100644", f"{number}".encode(), NOTHING.sha)) for number in range(10_000)]
    body = pack([NOTHING, EMPTY, top, *tags, *trees])
    answer = post(project, request([command(top.sha, "refs/tags/topic")], body)).content
    assert b"ok refs/tags/topic" in answer, answer[-2000:]
