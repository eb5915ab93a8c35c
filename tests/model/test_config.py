import pytest

from hostd.errors import Invalid
from hostd.model.config import (
    VALUE_LIMIT,
    ConfigChange,
    ConfigVar,
    Scope,
    changed,
    check_changes,
    described,
    for_previews,
    in_scope,
    scopes_in,
    scopes_of_new,
    scopes_text,
)

RUN, BUILD = frozenset({Scope.RUN}), frozenset({Scope.RUN, Scope.BUILD})
SHARED = frozenset({Scope.RUN, Scope.PREVIEW})


@pytest.mark.parametrize(
    "name",
    ["", "1A", "A-B", "A B", "A=B", "Ä", "A\n", "A" * 256, "A\0", "Α"],  # noqa: RUF001
)
def test_names_have_a_rule(name: str) -> None:
    with pytest.raises(Invalid, match="is not a name for a config variable: A to Z"):
        check_changes({name: ConfigChange("1")})


@pytest.mark.parametrize("name", ["PORT", "LD_PRELOAD", "BASH_ENV", "HOSTD_APP", "HOSTD_"])
def test_names_that_the_system_sets_are_reserved(name: str) -> None:
    for change in (ConfigChange("1"), None):
        with pytest.raises(Invalid, match=f"{name} is reserved"):
            check_changes({name: change})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("s3cret\0", "holds a NUL byte"),
        ("é" * (VALUE_LIMIT // 2 + 1), "is too long"),
        ("s3cret\udcff", "is not UTF-8"),
    ],
)
def test_values_have_rules_and_are_never_shown(value: str, reason: str) -> None:
    with pytest.raises(Invalid, match=f"the value of KEY {reason}") as caught:
        check_changes({"KEY": ConfigChange(value)})
    assert value not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"A": ConfigChange("")},
        {"_a9": ConfigChange("x" * VALUE_LIMIT)},
        {"A" * 255: None},
        {"A": ConfigChange("two\nlines\t\N{SNOWMAN}")},
        {"A": ConfigChange(scopes=frozenset({Scope.BUILD, Scope.PREVIEW}))},
    ],
)
def test_what_keeps_the_rules_is_taken(changes: dict[str, ConfigChange | None]) -> None:
    check_changes(changes)


def test_a_change_of_nothing_and_one_without_a_scope_are_refused() -> None:
    with pytest.raises(Invalid, match="no config variable was named"):
        check_changes({})
    with pytest.raises(Invalid, match="A needs a scope: run, build or both"):
        check_changes({"A": ConfigChange("1", scopes=frozenset({Scope.PREVIEW}))})


@pytest.mark.parametrize(
    ("name", "scopes"),
    [
        ("VITE_TITLE", BUILD),
        ("NODE_ENV", BUILD),
        ("BP_NODE_VERSION", BUILD),
        ("NPM_TOKEN", RUN),
        ("NODE_AUTH_TOKEN", RUN),
        ("UV_INDEX_PRIVATE_PASSWORD", RUN),
        ("DATABASE_URL", RUN),
    ],
)
def test_builds_see_unasked_only_what_steers_them_or_is_public(name: str, scopes: frozenset[Scope]) -> None:
    assert scopes_of_new(name) == scopes
    assert scopes_of_new(name, secret=True) == RUN


def test_what_a_change_does_not_say_stays() -> None:
    before = ConfigVar("old", secret=True, scopes=BUILD)
    assert ConfigChange("new").applied("A", before) == ConfigVar("new", True, BUILD)
    assert ConfigChange(scopes=RUN).applied("A", before) == ConfigVar("old", True, RUN)
    assert ConfigChange("new", secret=False).applied("A", before) == ConfigVar("new", False, BUILD)
    assert ConfigChange(secret=True).applied("A", ConfigVar("old")) == ConfigVar("old", True)
    assert ConfigChange("").applied("A", before).value == ""


def test_a_secret_is_made_plain_only_with_a_new_value() -> None:
    with pytest.raises(Invalid, match="A is a secret and stays one while it has this value") as caught:
        ConfigChange(secret=False).applied("A", ConfigVar("s3cret", secret=True))
    assert "s3cret" not in caught.value.message + caught.value.hint


def test_what_has_no_value_at_all_is_refused() -> None:
    with pytest.raises(Invalid, match="A is not set"):
        ConfigChange(secret=True).applied("A", None)


def test_changes_leave_the_rest_alone() -> None:
    config = {"A": ConfigVar("1"), "B": ConfigVar("2")}
    assert changed(config, {"B": None, "C": ConfigChange("3")}) == {"A": ConfigVar("1"), "C": ConfigVar("3")}
    assert config.keys() == {"A", "B"}


def test_scopes_choose() -> None:
    config = {
        "A": ConfigVar("1"),
        "B": ConfigVar("2", scopes=frozenset({Scope.BUILD})),
        "C": ConfigVar("3", secret=True, scopes=SHARED),
    }
    assert in_scope(config, Scope.RUN) == {"A": "1", "C": "3"}
    assert in_scope(config, Scope.BUILD) == {"B": "2"}
    assert for_previews(config) == {"C": ConfigVar("3", secret=True, scopes=RUN)}


def test_scopes_are_kept_as_text() -> None:
    every = frozenset(Scope)
    assert scopes_text(every) == "run,build,preview"
    assert scopes_in(scopes_text(every)) == every


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("", "B=1 A=1", "set A, B"),
        ("A=1 B=1", "A=1", "unset B"),
        ("A=1 B=1", "A=2 C=1", "set A, C; unset B"),
        ("A=1", "A=1", "config unchanged"),
    ],
)
def test_a_change_is_described_by_names(before: str, after: str, words: str) -> None:
    def config(text: str) -> dict[str, ConfigVar]:
        return {word.partition("=")[0]: ConfigVar(word.partition("=")[2]) for word in text.split()}

    assert described(config(before), config(after)) == words
