import pytest

from hostd.control.deploys import pause_deploys, pause_of, resume_deploys
from hostd.control.previews import environment_of
from hostd.control.releases import rollback
from hostd.errors import BuildFailed, Conflict, Invalid, NotFound, Unavailable
from hostd.model.app import Environment, User
from hostd.model.pause import Pause
from hostd.model.push import ZERO
from hostd.store import environments
from tests.control.house import House, image_of


async def back(house: House, *, pause: bool = True) -> None:
    await rollback(house.platform, house.app, house.production, house.ada, None, house.said, pause=pause)


async def paused(house: House, environment: Environment | None = None) -> Pause | None:
    return await pause_of(house.platform, environment or house.production)


async def test_a_rollback_pauses_deploys_and_the_next_push_is_refused_before_its_build(house: House) -> None:
    await house.push()
    await house.push()
    await back(house)
    assert await paused(house) == Pause("ada", "rollback to v1", house.platform.now())
    assert house.said.lines[-1].endswith("to resume: git push -o resume, or: hostd deploys resume")
    built, tip = list(house.builder.built), house.tip("main")
    with pytest.raises(Conflict, match="deploys of shop are paused since ada's rollback to v1") as refused:
        await house.push()
    assert refused.value.hint == "git push -o resume, or: hostd deploys resume"
    assert (house.builder.built, house.tip("main")) == (built, tip)
    assert house.keeper.release.name == "v3"


async def test_a_push_with_resume_deploys_and_ends_the_pause(house: House) -> None:
    await house.push()
    await pause_deploys(house.platform, house.app, house.production, house.ada, "")
    await house.push("main", "resume")
    assert await paused(house) is None
    await house.push()
    assert house.keeper.release.name == "v3"


async def test_a_push_with_resume_that_fails_leaves_deploys_paused(house: House) -> None:
    await house.push()
    await pause_deploys(house.platform, house.app, house.production, house.ada, "the fair begins")
    house.builder.refuse = BuildFailed("no")
    with pytest.raises(BuildFailed):
        await house.push("main", "resume")
    house.builder.refuse = None
    with pytest.raises(Conflict, match="deploys of shop are paused by ada: the fair begins"):
        await house.push()


async def test_resuming_lets_pushes_through_again(house: House) -> None:
    await pause_deploys(house.platform, house.app, house.production, house.ada, "")
    await resume_deploys(house.platform, house.app, house.production, house.ada)
    await resume_deploys(house.platform, house.app, house.production, house.ada)
    await house.push()
    assert house.keeper.release.name == "v1"


async def test_a_rollback_that_fails_or_is_not_to_pause_leaves_deploys_as_they_are(house: House) -> None:
    await house.deploy(image_of(web="serve 200", worker="sleep 99"))
    await house.deploy(image_of(web="serve 201"))
    await house.settled()
    house.engine.refuse = {"worker": "no room left"}
    with pytest.raises(Unavailable):
        await back(house)
    assert await paused(house) is None
    house.engine.refuse = {}
    await back(house, pause=False)
    assert await paused(house) is None


async def test_a_pause_is_of_one_environment_and_goes_with_it(house: House) -> None:
    await house.push()
    await house.push("topic")
    topic = await environment_of(house.platform, house.app, "topic")
    await pause_deploys(house.platform, house.app, topic, house.ada, "")
    with pytest.raises(Conflict, match="deploys of the preview of 'topic' are paused by ada") as refused:
        await house.push("topic")
    assert "hostd deploys resume -e topic" in refused.value.hint
    await house.push()
    await house.platform.db.call(environments.destroy, topic.id)
    with pytest.raises(NotFound):
        await pause_deploys(house.platform, house.app, topic, house.ada, "")
    assert house.tip("topic") != ZERO


async def test_a_reason_is_one_line_and_only_the_owner_pauses(house: House) -> None:
    for reason in ("a\nb", "\x1b[2J", "x" * 201):
        with pytest.raises(Invalid, match="one line of at most 200"):
            await pause_deploys(house.platform, house.app, house.production, house.ada, reason)
    with pytest.raises(NotFound, match="there is no app 'shop'"):
        await pause_deploys(house.platform, house.app, house.production, User(99, "bob", False), "")
