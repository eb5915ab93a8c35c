"""Which Group builds: order, optional members, build plans (Buildpack API 0.12, "Phase #1: Detection")."""

import pytest

from hostd.build.detect import (
    FAIL,
    PASS,
    Choice,
    Entry,
    Plan,
    Requirement,
    Verdict,
    choices,
    expand,
    nothing_found,
    parse_plans,
)
from hostd.errors import BuildFailed
from hostd.model.buildpack import Buildpack, Group, Member

A, B, C = Member("a"), Member("b"), Member("c")


def verdict(provides: str = "", requires: str = "") -> Verdict:
    return Verdict(PASS, plans=(plan(provides, requires),))


def plan(provides: str = "", requires: str = "") -> Plan:
    return Plan(tuple(provides.split()), tuple(Requirement(name) for name in requires.split()))


def first(groups: list[Group], **verdicts: Verdict) -> tuple[str, ...] | None:
    found = choices(groups, verdicts)
    return found[0].group if found else None


def test_the_first_group_whose_members_all_pass_is_chosen() -> None:
    groups: list[Group] = [(A, B), (B, C), (C,)]
    assert first(groups, a=Verdict(FAIL), b=verdict(), c=verdict()) == ("b", "c")


def test_all_groups_that_could_build_are_told_and_none_twice() -> None:
    groups: list[Group] = [(A,), (A, Member("b", optional=True)), (C,)]
    found = choices(groups, {"a": verdict(), "b": Verdict(FAIL), "c": verdict()})
    assert [choice.group for choice in found] == [("a",), ("c",)]


def test_an_optional_member_that_fails_is_left_out() -> None:
    group: Group = (Member("a", optional=True), B)
    assert first([group], a=Verdict(FAIL), b=verdict()) == ("b",)
    assert first([group], a=Verdict(1), b=verdict()) == ("b",)


def test_a_group_of_which_nobody_passes_does_not_build() -> None:
    assert first([(Member("a", optional=True),)], a=Verdict(FAIL)) is None


def test_what_is_provided_must_be_required_by_the_same_or_a_later_member() -> None:
    assert first([(A, B)], a=verdict("node"), b=verdict("", "node")) == ("a", "b")
    assert first([(A,)], a=verdict("node", "node")) == ("a",)
    assert first([(A, B)], a=verdict("node"), b=verdict()) is None
    assert first([(A, B)], a=verdict("", "node"), b=verdict("node")) is None


def test_what_is_required_must_be_provided_by_the_same_or_an_earlier_member() -> None:
    assert first([(A, B)], a=verdict(), b=verdict("", "node")) is None


def test_an_optional_member_that_does_not_fit_the_plan_is_left_out() -> None:
    optional = Member("a", optional=True)
    assert first([(optional, B)], a=verdict("node"), b=verdict()) == ("b",)
    assert first([(optional, B)], a=verdict("", "node"), b=verdict()) == ("b",)


def test_leaving_one_out_can_make_another_misfit() -> None:
    group: Group = (Member("a", optional=True), B)
    assert first([group], a=verdict("x", "y"), b=verdict("", "x")) is None


def test_alternatives_of_a_plan_are_tried_from_left_to_right() -> None:
    either = Verdict(PASS, plans=(plan("", "java"), plan("", "node")))
    assert first([(A, B)], a=verdict("node"), b=either) == ("a", "b")


def test_the_plan_tells_who_provides_what_and_who_asked() -> None:
    asked = Requirement("node", {"version": "24"})
    verdicts = {"a": verdict("node"), "b": Verdict(PASS, plans=(Plan((), (asked,)),))}
    assert choices([(A, B)], verdicts) == [Choice(("a", "b"), (Entry(("a",), (asked,)),))]


def test_a_plan_with_alternatives_is_parsed() -> None:
    content = b"""
    [[provides]]
    name = "node"
    [[requires]]
    name = "node"
    [requires.metadata]
    version = "24"
    [[or]]
    [[or.requires]]
    name = "bun"
    """
    assert parse_plans(content, "plan") == (
        Plan(("node",), (Requirement("node", {"version": "24"}),)),
        Plan((), (Requirement("bun"),)),
    )
    assert parse_plans(b"", "plan") == (Plan(),)


@pytest.mark.parametrize("content", [b"provides = 3", b"[[provides]]", b"[[provides]]\nname = 3", b"["])
def test_a_plan_of_another_shape_is_refused(content: bytes) -> None:
    with pytest.raises(BuildFailed):
        parse_plans(content, "plan")


def test_endless_alternatives_are_refused() -> None:
    many = Verdict(PASS, plans=(plan("", "x"),) * 100)
    with pytest.raises(BuildFailed, match="more than 4096 alternatives"):
        choices([(A, B, C)], {"a": many, "b": many, "c": many})


def test_a_buildpack_made_of_others_is_replaced_by_them() -> None:
    buildpacks = {
        "e": Buildpack("e", "1"),
        "o": Buildpack("o", "1", order=((A, B), (C,))),
        **{name: Buildpack(name, "1") for name in "abc"},
    }
    outer: Group = (Member("e"), Member("o"))
    assert expand([outer], buildpacks) == ((Member("e"), A, B), (Member("e"), C))
    optional: Group = (Member("e"), Member("o", optional=True))
    assert expand([optional], buildpacks)[-1] == (Member("e"),)


def test_a_buildpack_made_of_itself_is_refused() -> None:
    with pytest.raises(BuildFailed, match="made of itself"):
        expand([(A,)], {"a": Buildpack("a", "1", order=((A,),))})


def test_a_buildpack_that_is_not_here_is_refused_by_name() -> None:
    with pytest.raises(BuildFailed) as refusal:
        expand([(A,)], {"b": Buildpack("b", "1")})
    assert (refusal.value.message, refusal.value.hint) == ("there is no buildpack a", "there are: b")
    with pytest.raises(BuildFailed, match=r"buildpack a 2\.0\.0 is not here, only 1\.0\.0"):
        expand([(Member("a", "2.0.0"),)], {"a": Buildpack("a", "1.0.0")})


def test_an_app_that_nobody_recognises_is_told_what_was_looked_for() -> None:
    refusal = nothing_found([(A,), (B,)], {"a": Verdict(FAIL), "b": Verdict(FAIL)}, chosen=False)
    assert refusal.message == "no buildpack recognises this app (looked for a, b)"
    assert "Procfile" in refusal.hint


def test_a_detection_that_broke_is_told_with_its_last_line() -> None:
    refusal = nothing_found([(A,)], {"a": Verdict(3, "x\nno such file\n\n")}, chosen=False)
    assert refusal.message == "detection by buildpack a failed with status 3: no such file"


def test_a_buildpack_that_was_named_but_does_not_fit_is_told() -> None:
    refusal = nothing_found([(A,)], {"a": Verdict(FAIL, "no app.py here")}, chosen=True)
    assert refusal.message == (
        "buildpack a, named in project.toml, does not recognise this app: no app.py here"
    )
    assert "do not fit together" in nothing_found([(A,)], {"a": verdict("x")}, chosen=True).message
