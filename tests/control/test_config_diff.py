from hostd.control.config import change_config
from hostd.control.config_diff import Difference, Kind, diff_of_releases, diff_with_preview, differences
from hostd.model.config import ConfigVar
from hostd.store import environments
from tests.control.house import House, changes_of


def test_names_are_added_removed_or_changed_and_secrets_masked() -> None:
    before = {
        "A": ConfigVar("1"),
        "B": ConfigVar("1"),
        "S": ConfigVar("s3cret", secret=True),
        "T": ConfigVar("t"),
    }
    after = {"B": ConfigVar("2"), "C": ConfigVar("3"), "S": ConfigVar("plain now"), "T": ConfigVar("t")}
    assert differences(before, after) == [
        Difference("A", Kind.REMOVED, "1", None),
        Difference("B", Kind.CHANGED, "1", "2"),
        Difference("C", Kind.ADDED, None, "3"),
        Difference("S", Kind.CHANGED),
    ]


async def test_releases_are_compared_by_name_only(house: House) -> None:
    await house.deploy()
    for changes in ({"A": "1", "B": "1"}, {"A": None, "B": "2", "C": "1"}):
        mine = changes_of(changes)
        await change_config(house.platform, house.app, house.production, house.ada, mine, house.said)
    found = await diff_of_releases(house.platform, house.app, house.ada, house.production, 2, 3)
    assert found == [
        Difference("A", Kind.REMOVED),
        Difference("B", Kind.CHANGED),
        Difference("C", Kind.ADDED),
    ]


async def test_a_preview_is_compared_with_production(house: House) -> None:
    mine = changes_of({"A": "production"})
    await change_config(house.platform, house.app, house.production, house.ada, mine, house.said)
    topic = await house.platform.db.call(
        environments.create, house.app, "topic", "topic", "topic--shop.localhost", house.clock[0]
    )
    found = await diff_with_preview(house.platform, house.app, house.ada, topic)
    assert found == [Difference("A", Kind.REMOVED, "production", None)]
