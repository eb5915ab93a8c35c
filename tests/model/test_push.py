"""What a push may do."""

import pytest

from hostd.errors import Conflict, Invalid
from hostd.model.push import ZERO, RefUpdate, decide, parse_options, production_branch

A, B = "a" * 40, "b" * 40
MAIN = "refs/heads/main"


def test_the_production_branch_deploys() -> None:
    update = RefUpdate(A, B, MAIN)
    assert decide([update], "main", {B: "commit"}, {MAIN: A}).deploy == update


def test_other_branches_and_tags_are_stored_and_said_not_to_deploy() -> None:
    updates = [RefUpdate(ZERO, B, "refs/heads/topic"), RefUpdate(ZERO, B, "refs/tags/v1")]
    decision = decide(updates, "main", {B: "commit"}, {})
    assert decision.deploy is None
    assert decision.notes == (
        "topic stored, not deployed: only main deploys",
        "refs/tags/v1 stored; only branches deploy",
    )


def test_a_push_that_must_lose_is_refused_before_it_is_built() -> None:
    with pytest.raises(Conflict, match="main has moved on"):
        decide([RefUpdate(ZERO, B, MAIN)], "main", {B: "commit"}, {MAIN: A})


def test_the_production_branch_cannot_be_deleted() -> None:
    with pytest.raises(Invalid, match="deletion of main refused"):
        decide([RefUpdate(A, ZERO, MAIN)], "main", {}, {MAIN: A})


def test_another_branch_can_be_deleted() -> None:
    assert decide([RefUpdate(A, ZERO, "refs/heads/old")], "main", {}, {}).notes == ("refs/heads/old removed",)


def test_a_branch_must_point_at_a_commit() -> None:
    with pytest.raises(Invalid, match="would point at a blob"):
        decide([RefUpdate(ZERO, B, MAIN)], "main", {B: "blob"}, {})


@pytest.mark.parametrize(
    ("updates", "words"),
    [
        ([RefUpdate(ZERO, B, f"refs/heads/b{n}") for n in range(101)], "too many refs"),
        ([RefUpdate(ZERO, B, MAIN), RefUpdate(ZERO, A, MAIN)], "named twice"),
        ([RefUpdate(ZERO, B, "refs/pull/1/head")], "not a branch or a tag"),
        ([RefUpdate(ZERO, B, "refs/heads/" + "x" * 300)], "ref name too long"),
    ],
)
def test_strange_refs_are_refused(updates: list[RefUpdate], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        decide(updates, "main", {A: "commit", B: "commit"}, {})


def test_master_is_taken_where_main_was_never_pushed() -> None:
    master = [RefUpdate(ZERO, B, "refs/heads/master")]
    assert production_branch("main", master, {}) == "master"
    assert production_branch("main", master, {MAIN: A}) == "main"
    assert production_branch("main", [*master, RefUpdate(ZERO, B, MAIN)], {}) == "main"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["x"] * 17, "too many push options"),
        (["redeploy=" + "x" * 2000], "push option too long"),
        (["rm -rf"], "unknown push option"),
    ],
)
def test_push_options_have_limits(options: list[str], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        parse_options(options)
