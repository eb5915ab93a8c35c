import pytest

from hostd.control.autoscale import REST, Autoscaler, autoscale_of, set_autoscale, stop_autoscaling
from hostd.control.scale import scale
from hostd.errors import Invalid, NotFound
from hostd.model.app import User
from hostd.model.autoscale import CALM, SLOW, SOON, AutoscaleRule
from hostd.store import autoscale as rules
from hostd.store import environments
from tests.control.house import House, image_of
from tests.model.test_traffic import record

IMAGE = image_of(web="serve 200", worker="sleep 99")


async def rule(house: House, **changes: int | None) -> AutoscaleRule:
    return await set_autoscale(house.platform, house.app, house.ada, house.production, changes)


async def look(house: House, scaler: Autoscaler, times: int = SOON) -> list[str]:
    """Look so often; what runs then."""
    for _ in range(times):
        await scaler.look()
        await house.settled()
    return [name for name in house.running if name.startswith("web")]


def said(house: House) -> list[str]:
    return [line.text for line in house.logged if line.source == "hostd"]


async def test_many_at_once_make_more_instances_and_few_make_fewer_one_by_one(house: House) -> None:
    await house.deploy(IMAGE)
    assert await rule(house, most=3) == AutoscaleRule(1, 3, 20)
    scaler = Autoscaler(house.platform)
    house.router.under_way = 58
    assert await look(house, scaler) == ["web-v1"] * 3
    assert said(house) == ["autoscaled web 1 -> 3: 58 requests at once, 20 wanted per instance"]
    house.router.under_way = 0
    assert len(await look(house, scaler, CALM - 1)) == 3
    assert len(await look(house, scaler, 1)) == 2
    assert len(await look(house, scaler, CALM)) == 1
    assert len(await look(house, scaler, CALM)) == 1


async def test_slow_answers_of_the_live_release_make_more(house: House) -> None:
    await house.deploy(IMAGE)
    await rule(house, most=3, p95_ms=500)
    now = house.clock[0].timestamp()
    for number in range(30):
        house.platform.traffic.note(record(now - 2, seconds=0.7 if number % 2 else 0.01))
        house.platform.traffic.note(record(now - 2, seconds=9, release="v0"))
    assert len(await look(house, Autoscaler(house.platform), SLOW)) == 2
    assert said(house)[0].endswith("ms, 500 ms wanted")


async def test_the_next_release_has_as_many(house: House) -> None:
    await house.deploy(IMAGE)
    await rule(house, most=3)
    house.router.under_way = 58
    await look(house, Autoscaler(house.platform))
    house.router.under_way = 0
    await house.deploy(IMAGE)
    await house.settled()
    assert house.running.count("web-v2") == 3


async def test_nothing_is_done_while_it_sleeps_or_is_changed_or_before_the_first_push(house: House) -> None:
    await rule(house, most=3)
    scaler = Autoscaler(house.platform)
    assert await look(house, scaler) == []
    await house.deploy(IMAGE)
    house.router.under_way = 0
    assert await house.keeper.fall_asleep()
    house.router.under_way = 58
    assert len(await look(house, scaler)) == 1
    await house.keeper.wake()
    async with house.platform.lock(house.production):
        assert len(await look(house, scaler)) == 1
    assert len(await look(house, scaler, SOON - 1)) == 1, "what was seen before does not count"
    assert len(await look(house, scaler, 1)) == 3


async def test_what_cannot_be_started_is_said_once_and_tried_again_later(house: House) -> None:
    await house.deploy(IMAGE)
    await rule(house, most=3)
    scaler = Autoscaler(house.platform)
    house.router.under_way = 58
    house.engine.refuse = {"web": "no room left"}
    assert len(await look(house, scaler, 10)) == 1
    assert said(house) == ["autoscaling web 1 -> 3 failed: no room left"]
    house.engine.refuse = {}
    house.clock[0] += REST
    assert len(await look(house, scaler)) == 3


async def test_scaling_web_by_hand_ends_autoscaling_and_says_so(house: House) -> None:
    await house.deploy(IMAGE)
    await rule(house, most=3)
    put = (house.platform, house.app, house.production, house.ada)
    await scale(*put, {"worker": 2}, house.said)
    assert await autoscale_of(house.platform, house.production)
    await scale(*put, {"web": 2}, house.said)
    assert await autoscale_of(house.platform, house.production) is None
    assert house.said.lines[-1].startswith("-----> web is no longer autoscaled")
    house.router.under_way = 500
    assert len(await look(house, Autoscaler(house.platform))) == 2


async def test_a_rule_is_changed_in_part_and_ended(house: House) -> None:
    await house.deploy(IMAGE)
    with pytest.raises(Invalid, match="up to how many"):
        await rule(house, least=2)
    await rule(house, most=5, p95_ms=300)
    assert await rule(house, least=2, concurrency=7) == AutoscaleRule(2, 5, 7, 300)
    assert await rule(house, p95_ms=None) == AutoscaleRule(2, 5, 7)
    with pytest.raises(Invalid):
        await rule(house, most=1)
    await stop_autoscaling(house.platform, house.app, house.ada, house.production)
    assert await autoscale_of(house.platform, house.production) is None


async def test_without_a_web_process_there_is_nothing_to_autoscale(house: House) -> None:
    await house.deploy(image_of(worker="sleep 99"))
    with pytest.raises(Invalid, match="no web process"):
        await rule(house, most=3)


async def test_somebody_elses_app_cannot_be_autoscaled(house: House) -> None:
    bob = User(99, "bob", False)
    with pytest.raises(NotFound):
        await set_autoscale(house.platform, house.app, bob, house.production, {"most": 3})
    with pytest.raises(NotFound):
        await stop_autoscaling(house.platform, house.app, bob, house.production)


async def test_a_rule_goes_with_its_environment(house: House) -> None:
    await rule(house, most=3)
    await house.platform.db.call(environments.destroy, house.production.id)
    assert await house.platform.db.read(rules.every) == {}
