"""Refs that are hostile, or many, or in each other's way: nothing but a branch or a tag is ever made of one."""

from pathlib import Path

import pytest

from tests.e2e.server import Project
from tests.e2e.test_bad_requests import COMMIT, GOOD, kept, repository
from tests.e2e.test_push import app
from tests.e2e.wire import CAPABILITIES, command, pack, post, request

REFUSED_BY_GIT = [
    "refs/heads/..",
    "refs/heads/a..b",
    "refs/heads/a.lock",
    "refs/heads/a@{1}",
    "refs/heads/a~1",
    "refs/heads/a^",
    "refs/heads/a:b",
    "refs/heads/a?",
    "refs/heads/a*",
    "refs/heads/a[b",
    "refs/heads/a\\b",
    "refs/heads/a.",
    "refs/heads/.a",
    "refs/heads/a//b",
    "refs/heads/a/",
    "refs/heads/\x07",
    "refs/../../../../tmp/x",
    "refs/hostd/x",
    "HEAD",
    "FETCH_HEAD",
    "config",
    "hooks/pre-receive",
    "objects/info/alternates",
    "/etc/passwd",
]
REFUSED_BY_HOSTD = [
    ("refs/pull/1/head", "is not a branch or a tag"),
    ("refs/remotes/origin/main", "is not a branch or a tag"),
    ("refs/replace/" + "0" * 40, "is not a branch or a tag"),
    ("refs/heads/" + "a" * 245, "ref name too long"),
]
STORED = [
    "refs/heads/--upload-pack=id",
    "refs/heads/-h",
    "refs/heads/$(id)",
    "refs/heads/`id`;id",
    "refs/heads/a'b\"c",
    "refs/heads/a\u2028b",
    "refs/heads/a\u0085b",
    "refs/heads/\u202egnp.exe",
    "refs/heads/\udcff\udcfe",
    "refs/heads/refs/heads/main",
    "refs/heads/HEAD",
    "refs/tags/a\u2029b",
]


def push(project: Project, ref: str) -> bytes:
    """Make `ref` by hand; what the server answered."""
    body = request([command(COMMIT.sha, ref)], pack(GOOD))
    return post(project, body).content


@pytest.mark.parametrize("ref", REFUSED_BY_GIT)
def test_a_ref_that_is_no_ref_is_refused(untouched: Project, ref: str) -> None:
    answer = push(untouched, ref)
    assert f"ng {ref} ".encode() in answer
    assert kept(untouched) == []


@pytest.mark.parametrize(("ref", "words"), REFUSED_BY_HOSTD)
def test_a_ref_that_is_neither_branch_nor_tag_is_refused_in_words(
    untouched: Project, ref: str, words: str
) -> None:
    answer = push(untouched, ref)
    assert words.encode() in answer
    assert f"ng {ref} ".encode() in answer
    assert kept(untouched) == []


def test_a_strange_name_is_a_name_and_no_more(project: Project) -> None:
    for ref in STORED:
        raw = ref.encode(errors="surrogateescape")
        body = request([command(COMMIT.sha, "REF")], pack(GOOD)).replace(b"REF\0", raw + b"\0")
        body = f"{int(body[:4], 16) + len(raw) - 3:04x}".encode() + body[4:]
        answer = post(project, body).content
        assert b"ok " + raw in answer, answer
        assert (b"stored" in answer) != (b"is running v1" in answer)
    made = [path for path in (repository(project) / "refs").rglob("*") if path.is_file()]
    assert len(made) == len(STORED)


def test_ten_thousand_refs_are_refused_in_words_and_a_million_before_git_sees_them(
    untouched: Project,
) -> None:
    commands = [command(COMMIT.sha, f"refs/heads/b{number}") for number in range(10_000)]
    answer = post(untouched, request(commands, pack(GOOD))).content
    assert b"too many refs in one push (10000, at most 100)" in answer
    answer = post(untouched, request(commands * 100, pack(GOOD))).content
    assert b"more than 10000 refs in one push" in answer
    assert kept(untouched) == []


def test_one_ref_twice_is_refused(untouched: Project) -> None:
    answer = post(untouched, request([command(COMMIT.sha)] * 2, pack(GOOD))).content
    assert b"ng refs/heads/main" in answer
    assert b"ok refs" not in answer


def test_with_atomic_no_ref_moves_if_one_may_not(untouched: Project) -> None:
    commands = [command(COMMIT.sha, "refs/heads/topic"), command(COMMIT.sha, "refs/heads/a..b")]
    answer = post(untouched, request(commands, pack(GOOD), capabilities=f"{CAPABILITIES} atomic")).content
    assert b"ng refs/heads/topic" in answer
    assert kept(untouched) == []


def test_names_that_differ_in_case_are_two_and_one_below_another_is_refused(project: Project) -> None:
    project.deploy(app("one"))
    project.git("branch", "a")
    project.git("branch", "A")
    project.push("hostd", "a", "A")
    pushed = project.push("hostd", "main:refs/heads/a/b", status=1)
    assert "remote rejected" in pushed.output
    assert {path.name for path in Path(repository(project) / "refs/heads").iterdir()} == {"a", "A", "main"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["hostd", "HEAD~5:refs/heads/main"], "src refspec"),
        (["hostd", "main:HEAD"], "main"),
        (["hostd", "nothing"], "src refspec nothing does not match any"),
    ],
)
def test_a_push_of_nothing_is_gits_own_message(project: Project, words: list[str], says: str) -> None:
    project.write(app("one")).commit()
    assert says in project.push(*words, status=None).output


def test_the_same_commit_again_is_up_to_date(project: Project) -> None:
    project.deploy(app("one"))
    assert "Everything up-to-date" in project.push().output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([f"o{number}=1" for number in range(17)], "too many push options (17, at most 16)"),
        (["redeploy=" + "x" * 2000], "push option too long"),
        (
            [f"redeploy={number}" + "x" * 60_000 for number in range(5)],
            "the push options are longer than 256 KiB",
        ),
        (["\x1b[31m"], "unknown push option '\\x1b[31m'"),
    ],
)
def test_push_options_that_are_too_much_are_refused_in_words(
    project: Project, options: list[str], words: str
) -> None:
    project.write(app("one")).commit()
    given = [word for option in options for word in ("-o", option)]
    assert words in project.push(*given, "hostd", "main", status=None).output
