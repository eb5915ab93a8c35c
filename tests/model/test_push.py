"""What a push may do."""

import pytest

from hostd.errors import Conflict, Invalid
from hostd.model.push import ZERO, BranchRules, RefUpdate, decide, parse_options, production_branch

A, B = "a" * 40, "b" * 40
MAIN, TOPIC = "refs/heads/main", "refs/heads/topic"
RULES, NO_PREVIEWS = BranchRules("main", previews=True), BranchRules("main", previews=False)


def test_the_production_branch_deploys() -> None:
    update = RefUpdate(A, B, MAIN)
    assert decide([update], RULES, {B: "commit"}, {MAIN: A}).deploy == update


def test_another_branch_deploys_if_it_is_the_only_one() -> None:
    updates = [RefUpdate(ZERO, B, TOPIC), RefUpdate(ZERO, B, "refs/tags/v1")]
    decision = decide(updates, RULES, {B: "commit"}, {})
    assert decision.deploy == updates[0]
    assert decision.notes == ("refs/tags/v1 stored; only branches deploy",)


def test_of_production_and_another_branch_production_deploys() -> None:
    updates = [RefUpdate(ZERO, B, TOPIC), RefUpdate(ZERO, B, MAIN)]
    decision = decide(updates, RULES, {B: "commit"}, {})
    assert decision.deploy == updates[1]
    assert decision.notes == (
        "topic stored, not deployed: main does; for a preview: hostd previews create topic",
    )


def test_of_several_other_branches_none_deploys() -> None:
    updates = [RefUpdate(ZERO, B, TOPIC), RefUpdate(ZERO, A, "refs/heads/fix")]
    decision = decide(updates, RULES, {A: "commit", B: "commit"}, {})
    assert decision.deploy is None
    assert decision.notes[1] == (
        "fix stored, not deployed: one branch at a time does; for a preview: hostd previews create fix"
    )


def test_without_previews_other_branches_are_stored_and_said_not_to_deploy() -> None:
    decision = decide([RefUpdate(ZERO, B, TOPIC)], NO_PREVIEWS, {B: "commit"}, {})
    assert decision.deploy is None
    assert decision.notes == ("topic stored, not deployed: only main deploys",)


def test_a_branch_whose_name_is_not_utf_8_has_no_preview() -> None:
    decision = decide([RefUpdate(ZERO, B, "refs/heads/\ufffd")], RULES, {B: "commit"}, {})
    assert decision.deploy is None
    assert "a preview needs a name in UTF-8" in decision.notes[0]


@pytest.mark.parametrize("ref", [MAIN, TOPIC])
def test_a_push_that_must_lose_is_refused_before_it_is_built(ref: str) -> None:
    with pytest.raises(Conflict, match="has moved on: it is at aaaaaaa, this push expected 0000000"):
        decide([RefUpdate(ZERO, B, ref)], RULES, {B: "commit"}, {ref: A})


def test_the_production_branch_cannot_be_deleted() -> None:
    with pytest.raises(Invalid, match="deletion of main refused"):
        decide([RefUpdate(A, ZERO, MAIN)], RULES, {}, {MAIN: A})


def test_another_branch_can_be_deleted_beside_a_deploy() -> None:
    updates = [RefUpdate(A, ZERO, TOPIC), RefUpdate(A, B, MAIN)]
    decision = decide(updates, RULES, {B: "commit"}, {MAIN: A, TOPIC: A})
    assert (decision.deploy, decision.removed) == (updates[1], ("topic",))
    assert decision.notes == ("refs/heads/topic removed",)


def test_a_deletion_that_must_lose_is_refused() -> None:
    with pytest.raises(Conflict, match="topic has moved on"):
        decide([RefUpdate(A, ZERO, TOPIC)], RULES, {}, {TOPIC: B})


def test_a_branch_must_point_at_a_commit() -> None:
    with pytest.raises(Invalid, match="would point at a blob"):
        decide([RefUpdate(ZERO, B, MAIN)], RULES, {B: "blob"}, {})


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
        decide(updates, RULES, {A: "commit", B: "commit"}, {})


def test_master_is_taken_where_main_was_never_pushed() -> None:
    master = [RefUpdate(ZERO, B, "refs/heads/master")]
    assert production_branch("main", master, {}) == "master"
    assert production_branch("main", master, {MAIN: A}) == "main"
    assert production_branch("main", [*master, RefUpdate(ZERO, B, MAIN)], {}) == "main"


def test_main_is_taken_after_a_first_push_of_master_that_was_refused() -> None:
    assert production_branch("master", [RefUpdate(ZERO, B, MAIN)], {}) == "main"


def test_a_branch_that_was_chosen_stays_also_before_its_first_push() -> None:
    assert production_branch("trunk", [RefUpdate(ZERO, B, "refs/heads/master")], {}) == "trunk"


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


@pytest.mark.parametrize(
    "name",
    [
        "a..b",
        "a.lock",
        "a.lock/b",
        "a@{1}",
        "a~1",
        "a^",
        "a:b",
        "a?",
        "a*",
        "a[b",
        "a\\b",
        "a.",
        ".a",
        "a//b",
        "a/",
        "a b",
        "\x07",
    ],
)
def test_a_name_that_git_would_refuse_later_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="invalid ref name"):
        decide([RefUpdate(ZERO, A, f"refs/heads/{name}")], RULES, {}, {})


@pytest.mark.parametrize(
    ("made", "there"),
    [("topic/a", "topic"), ("topic", "topic/a"), ("topic", "topic/a/b")],
)
def test_a_branch_below_another_is_refused_unless_that_goes(made: str, there: str) -> None:
    tips = {f"refs/heads/{there}": A}
    updates = [RefUpdate(ZERO, B, f"refs/heads/{made}")]
    with pytest.raises(Conflict, match="cannot both be there"):
        decide(updates, RULES, {}, tips)
    decide([RefUpdate(A, ZERO, f"refs/heads/{there}"), *updates], RULES, {B: "commit"}, tips)


def test_two_new_branches_one_below_the_other_are_refused() -> None:
    with pytest.raises(Conflict, match="cannot both be there"):
        decide([RefUpdate(ZERO, A, "refs/heads/a"), RefUpdate(ZERO, A, "refs/heads/a/b")], RULES, {}, {})
