import json

import pytest

from hostd.control.config import all_config_of, change_config, config_of
from hostd.errors import Invalid
from tests.control.house import House, changes_of


def app_json(**env: object) -> dict[str, str]:
    return {"app.json": json.dumps({"env": env})}


async def test_the_first_push_sets_what_app_json_wants_and_later_ones_leave_it_alone(house: House) -> None:
    files = app_json(GREETING="hello", KEY={"generator": "secret"}, PORT={"description": "ours"})
    said = await house.push(files=files)
    assert "       app.json: set GREETING, KEY" in said.lines
    config = await all_config_of(house.platform, house.production)
    key = config["KEY"]
    assert (len(key.value), key.secret, config["GREETING"].secret) == (64, True, False)
    assert not any(key.value in line for line in said.lines)
    assert house.keeper.instances[0].spec.env["KEY"] == key.value
    nothing = changes_of({"GREETING": None})
    await change_config(house.platform, house.app, house.production, house.ada, nothing, house.said)
    await house.push(files=app_json(GREETING="again", KEY={"generator": "secret"}, NEW="1"))
    assert await config_of(house.platform, house.production) == {"KEY": key.value}


async def test_what_is_required_and_missing_refuses_the_push_before_the_build(house: House) -> None:
    files = app_json(
        MAIL_KEY={"description": "of the mail service"}, OTHER={}, EXTRA={"required": False}, SET={}
    )
    mine = changes_of({"SET": "1"})
    await change_config(house.platform, house.app, house.production, house.ada, mine, house.said)
    with pytest.raises(
        Invalid, match=r"app\.json requires config that is not set: MAIL_KEY, OTHER"
    ) as caught:
        await house.push(files=files)
    assert "hostd config set -a shop MAIL_KEY=... OTHER=..." in caught.value.hint
    assert (house.builder.built, house.running) == ([], [])
    mine = changes_of({"MAIL_KEY": "k", "OTHER": ""})
    await change_config(house.platform, house.app, house.production, house.ada, mine, house.said)
    await house.push(files=files)
    assert house.running == ["web-v1"]


async def test_a_generated_secret_survives_a_first_push_that_failed(house: House) -> None:
    files = app_json(KEY={"generator": "secret"})
    house.builder.refuse = Invalid("no")
    with pytest.raises(Invalid):
        await house.push(files=files)
    key = await config_of(house.platform, house.production)
    house.builder.refuse = None
    await house.push(files=files)
    assert await config_of(house.platform, house.production) == key


async def test_a_preview_generates_its_own_and_names_what_it_lacks(house: House) -> None:
    await house.push(files=app_json(KEY={"generator": "secret"}))
    with pytest.raises(Invalid, match="not set: MAIL") as caught:
        await house.push("topic", files=app_json(KEY={"generator": "secret"}, MAIL={}))
    assert "hostd config set -a shop --previews MAIL=..." in caught.value.hint


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "app.json:1: it is not JSON"),
        ('{"env": {"A-B": "1"}}', "'A-B' is not a name for a config variable"),
        ('{"env": {"HOSTD_X": "1"}}', "HOSTD_X is reserved"),
    ],
)
async def test_an_app_json_that_is_wrong_refuses_the_first_push(
    house: House, content: str, words: str
) -> None:
    with pytest.raises(Invalid) as caught:
        await house.push(files={"app.json": content})
    assert words in caught.value.message
    assert house.builder.built == []
