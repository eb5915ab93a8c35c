import pytest

from hostd.git import reading
from hostd.git.reading import Reader
from tests.git.conftest import Clone


def test_commits_are_those_between_two_newest_first(clone: Clone) -> None:
    made = []
    for number in range(4):
        clone.write("file", str(number))
        made.append(clone.commit())
    with Reader(clone.repositories.path(clone.app)) as reader:
        assert reader.commits(made[3], made[1], 50) == [(made[3], "a commit"), (made[2], "a commit")]
        assert reader.commits(made[3], made[0], 2) == [(made[3], "a commit"), (made[2], "a commit")]
        assert reader.commits(made[1], made[3], 50) == []
        assert reader.commits(made[1], made[1], 50) == []
        assert reader.commits(made[1], "", 50) == [(made[1], "a commit")]


def test_what_the_repository_lacks_is_left_out(clone: Clone) -> None:
    commit = clone.commit()
    with Reader(clone.repositories.path(clone.app)) as reader:
        assert reader.commits(commit, "c" * 40, 50) == [(commit, "a commit")]
        assert reader.commits("c" * 40, commit, 50) == []


def test_a_long_history_is_not_walked_to_its_end(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for number in range(30):
        clone.write("file", str(number))
        made.append(clone.commit())
    monkeypatch.setattr(reading, "STEPS_LIMIT", 8)
    with Reader(clone.repositories.path(clone.app)) as reader:
        found = [commit for commit, _ in reader.commits(made[29], made[0], 50)]
    assert found == list(reversed(made))[: len(found)]
    assert 4 <= len(found) <= 10
