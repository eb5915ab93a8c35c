"""Previews from the push to their end, with a clock of our own."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hostd.control import previews
from hostd.control.apps import create_app, destroy_app, production_of, set_production_branch
from hostd.control.config import change_config, change_preview_config, config_of
from hostd.control.platform import Platform
from hostd.control.push import accept, create_preview
from hostd.control.reconcile import recover
from hostd.control.releases import promote, releases_of, rollback
from hostd.control.tidying import tidy
from hostd.errors import BuildFailed, Conflict, HostdError, Invalid, LimitExceeded, NotFound
from hostd.git.receive import Received
from hostd.model.app import App, Environment, User
from hostd.model.image import Image, ProcessType, image_digest
from hostd.model.preview import PREVIEWS_LIMIT, name_of
from hostd.model.push import ZERO, RefUpdate
from hostd.model.route import ToInstances
from hostd.store import apps, builds, environments, users
from hostd.transcript import Transcript
from tests.control.house import changes_of
from tests.eventually import until
from tests.fakes import FakeEngine
from tests.fakes_control import FakeBuilder, FakeRouter, platform_in

NOW = datetime(2026, 11, 25, tzinfo=UTC)
WEB = ProcessType("web", ("sh", "-c", "serve 200"))


@dataclass
class House:
    """A Platform, an App of ada's, and what happens to it."""

    platform: Platform
    ada: User
    app: App
    clock: list[datetime]
    said: Transcript = field(default_factory=Transcript)

    @property
    def engine(self) -> FakeEngine:
        assert isinstance(self.platform.engine, FakeEngine)
        return self.platform.engine

    @property
    def router(self) -> FakeRouter:
        assert isinstance(self.platform.router, FakeRouter)
        return self.platform.router

    @property
    def builder(self) -> FakeBuilder:
        assert isinstance(self.platform.builder, FakeBuilder)
        return self.platform.builder

    def commit(self, text: str = "a commit") -> str:
        """A commit without files, in the App's repository."""
        tree = self._git("hash-object", "-w", "-t", "tree", "/dev/null")
        return self._git("commit-tree", tree, "-m", text)

    def tip(self, branch: str) -> str:
        """What the branch points at; ZERO if there is none."""
        found = self._git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return found or ZERO

    async def push(self, *branches: str, delete: Sequence[str] = ()) -> Transcript:
        """A push of a new commit to each branch, accepted as the hook has it accepted, and the refs moved."""
        updates = [
            RefUpdate(self.tip(branch), self.commit(branch), f"refs/heads/{branch}") for branch in branches
        ]
        updates += [RefUpdate(self.tip(branch), ZERO, f"refs/heads/{branch}") for branch in delete]
        transcript = Transcript()
        received = Received(self.platform.repositories.path(self.app), None, tuple(updates), ())
        async with AsyncExitStack() as held:
            await accept(self.platform, self.app, self.ada, received, transcript, held)
            for update in updates:
                self._git("update-ref", *(["-d", update.ref] if update.deletes else [update.ref, update.new]))
        return transcript

    async def preview(self, branch: str) -> Environment:
        """The Preview of a branch. Raises NotFound."""
        return await previews.environment_of(self.platform, self.app, branch)

    async def branches(self) -> list[str]:
        """Those that have a Preview."""
        return [each.environment.branch for each in await previews.previews_of(self.platform, self.app)]

    def _git(self, *words: str) -> str:
        path = str(self.platform.repositories.path(self.app))
        env = {"PATH": "/usr/bin:/bin"} | {
            f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        return subprocess.run(
            ["git", f"--git-dir={path}", *words], check=True, env=env, capture_output=True, text=True
        ).stdout.strip()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = [NOW]
    with platform_in(tmp_path) as made:
        platform = replace(made, now=lambda: clock[0])
        assert isinstance(platform.builder, FakeBuilder)
        platform.builder.image = Image(image_digest((), {}, (WEB,), None), (), {}, (WEB,))
        ada = await platform.db.call(users.create, "ada", False, NOW)
        yield House(platform, ada, await create_app(platform, ada, "shop"), clock)
        for keeper in platform.keepers.values():
            await keeper.let_go()
        await asyncio.gather(*platform.background)
        assert isinstance(platform.engine, FakeEngine)
        await platform.engine.remove()


async def test_a_push_of_another_branch_makes_a_preview_beside_production(house: House) -> None:
    await house.push("main")
    said = await house.push("feature/login")
    label = f"{name_of('feature/login')}--shop"
    assert said.lines[-1] == f"-----> http://{label}.localhost:8080 is running v1"
    assert house.engine.running == [f"{label}-web-v1", "shop-production-web-v1"]
    route = house.router.routes[f"{label}.localhost"]
    assert isinstance(route.target, ToInstances)
    assert (route.environment, route.noindex, route.password) == (label, True, "")
    assert not house.router.routes["shop.localhost"].noindex


async def test_a_first_push_that_fails_leaves_nothing_and_a_later_one_leaves_what_runs(house: House) -> None:
    house.builder.refuse = BuildFailed("no such luck")
    with pytest.raises(BuildFailed):
        await house.push("topic")
    assert await house.branches() == []
    house.builder.refuse = None
    house.engine.refuse = {"web": "no room"}
    with pytest.raises(HostdError, match="no room"):
        await house.push("topic")
    assert await house.branches() == []
    assert (house.engine.running, list(house.router.routes)) == ([], ["shop.localhost"])
    house.engine.refuse = {}
    await house.push("topic")
    house.engine.refuse = {"web": "no room"}
    with pytest.raises(HostdError, match="no room"):
        await house.push("topic")
    assert house.engine.running == ["topic--shop-web-v1"]


async def test_a_push_that_is_cancelled_takes_its_new_preview_with_it(house: House) -> None:
    deaf = ProcessType("web", ("sh", "-c", "sleep 1000"))
    house.builder.image = replace(house.builder.image, processes=(deaf,))
    task = asyncio.create_task(house.push("topic"))
    await until(lambda: house.engine.running == ["topic--shop-web-v1"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert (await house.branches(), house.engine.running) == ([], [])


async def test_a_deleted_branch_takes_its_preview_with_it(house: House) -> None:
    await house.push("main")
    await house.push("topic")
    said = await house.push(delete=["topic"])
    assert said.lines[-1] == "-----> The preview http://topic--shop.localhost:8080 is removed"
    assert house.engine.running == ["shop-production-web-v1"]
    assert list(house.router.routes) == ["shop.localhost", "v1--shop.localhost"]
    assert await house.branches() == []
    with pytest.raises(NotFound, match="no preview of 'topic'"):
        await house.preview("topic")


async def test_a_push_that_is_refused_deletes_no_preview(house: House) -> None:
    await house.push("main")
    await house.push("topic")
    house.builder.refuse = BuildFailed("no such luck")
    with pytest.raises(BuildFailed):
        await house.push("main", delete=["topic"])
    assert await house.branches() == ["topic"]
    house.builder.refuse = None
    await house.push("main", delete=["topic"])
    assert await house.branches() == []


async def test_two_first_pushes_of_one_branch_take_turns(house: House) -> None:
    results = await asyncio.gather(house.push("topic"), house.push("topic"), return_exceptions=True)
    assert {type(result) for result in results} == {Transcript, Conflict}
    assert await house.branches() == ["topic"]
    assert house.engine.running == ["topic--shop-web-v1"]


async def test_pushes_that_deploy_and_delete_each_others_branches_do_not_wait_for_ever(house: House) -> None:
    await house.push("one")
    await house.push("two")
    async with asyncio.timeout(10):
        await asyncio.gather(
            house.push("one", delete=["two"]), house.push("two", delete=["one"]), return_exceptions=True
        )
    assert len(await house.branches()) <= 1


async def test_a_preview_ends_so_many_days_after_its_last_push(house: House) -> None:
    await house.push("main")
    await house.push("topic")
    house.clock[0] += timedelta(days=6)
    await house.push("late")
    house.clock[0] += timedelta(days=1, seconds=1)
    await previews.sweep_previews(house.platform)
    assert await house.branches() == ["late"]
    assert "topic--shop.localhost" not in house.router.routes
    await previews.change_settings(house.platform, house.app, house.ada, days=1)
    await previews.sweep_previews(house.platform)
    assert await house.branches() == []
    assert house.engine.running == ["shop-production-web-v1"]


async def test_a_preview_that_is_just_pushed_to_is_not_swept(house: House) -> None:
    await house.push("topic")
    house.clock[0] += timedelta(days=8)
    async with house.platform.lock(await house.preview("topic")):
        await previews.sweep_previews(house.platform)
    assert await house.branches() == ["topic"]
    await house.push("topic")
    await previews.sweep_previews(house.platform)
    assert await house.branches() == ["topic"]


async def test_production_config_reaches_no_preview_and_a_previews_own_wins(house: House) -> None:
    production = await production_of(house.platform, house.app)
    await change_config(
        house.platform,
        house.app,
        production,
        house.ada,
        changes_of({"SECRET": "s", "A": "production"}),
        house.said,
    )
    await change_preview_config(
        house.platform, house.app, house.ada, changes_of({"A": "previews", "B": "previews"})
    )
    await house.push("main")
    await house.push("topic")
    topic = await house.preview("topic")
    assert await config_of(house.platform, topic) == {"A": "previews", "B": "previews"}
    release = await change_config(
        house.platform, house.app, topic, house.ada, changes_of({"B": "topic"}), house.said
    )
    assert release
    assert (release.config, release.reason) == ({"A": "previews", "B": "topic"}, "set B")
    assert await config_of(house.platform, production) == {"SECRET": "s", "A": "production"}
    await change_preview_config(house.platform, house.app, house.ada, {"A": None})
    assert await config_of(house.platform, topic) == {"B": "topic"}
    assert (
        await change_config(house.platform, house.app, topic, house.ada, {"B": None}, house.said)
    ) is not None
    refused: list[dict[str, str | None]] = [{}, {"PORT": "1"}, {"A": "x" * 70_000}]
    for changes in refused:
        with pytest.raises(Invalid):
            await change_preview_config(house.platform, house.app, house.ada, changes_of(changes))


async def test_promote_makes_a_release_of_the_same_image_with_productions_config(house: House) -> None:
    production = await production_of(house.platform, house.app)
    await change_config(
        house.platform, house.app, production, house.ada, changes_of({"A": "production"}), house.said
    )
    await house.push("topic")
    topic = await house.preview("topic")
    built = len(house.builder.built)
    release = await promote(house.platform, house.app, topic, house.ada, house.said)
    (tried,) = await releases_of(house.platform, topic, 10)
    assert (release.image, release.commit) == (tried.image, tried.commit)
    assert (release.config, release.reason) == ({"A": "production"}, "promoted topic v1")
    assert len(house.builder.built) == built
    assert "shop-production-web-v1" in house.engine.running
    for what in (production, replace(topic, app_id=99)):
        with pytest.raises(Invalid, match="only a preview of shop can be promoted"):
            await promote(house.platform, house.app, what, house.ada, house.said)


async def test_a_preview_without_a_live_release_cannot_be_promoted(house: House) -> None:
    empty = await house.platform.db.call(
        environments.create, house.app, "empty", "empty", "empty--shop.localhost", NOW
    )
    with pytest.raises(Conflict, match="nothing runs in the preview of empty"):
        await promote(house.platform, house.app, empty, house.ada, house.said)


async def test_after_a_restart_previews_that_never_went_live_are_gone(house: House) -> None:
    await house.push("topic")
    cut_off = await house.platform.db.call(
        environments.create, house.app, "cut", "cut", "cut--shop.localhost", NOW
    )
    await house.platform.db.call(builds.start, cut_off.id, "c" * 40, "ada", NOW)
    for keeper in house.platform.keepers.values():
        await keeper.let_go()
    house.platform.keepers.clear()
    await recover(house.platform)
    assert await house.branches() == ["topic"]
    assert sorted(house.router.routes) == ["shop.localhost", "topic--shop.localhost"]
    assert house.engine.running == ["topic--shop-web-v1"]


async def test_a_password_holds_at_once_for_previews_there_are_and_later_ones(house: House) -> None:
    await house.push("main")
    await house.push("topic")
    settings = await previews.change_settings(house.platform, house.app, house.ada, password="open sesame")
    assert house.router.routes["topic--shop.localhost"].password == settings.password
    await house.push("late")
    assert house.router.routes["late--shop.localhost"].password == settings.password
    assert house.router.routes["shop.localhost"].password == ""
    await previews.change_settings(house.platform, house.app, house.ada, password="")
    assert house.router.routes["topic--shop.localhost"].password == ""


async def test_with_previews_off_a_branch_is_stored_only(house: House) -> None:
    await previews.change_settings(house.platform, house.app, house.ada, enabled=False)
    said = await house.push("topic")
    assert said.lines == ["       topic stored, not deployed: only main deploys"]
    assert await house.branches() == []
    await create_preview(house.platform, house.app, house.ada, "topic", house.said)
    assert await house.branches() == ["topic"]
    with pytest.raises(Invalid, match="main is what production runs"):
        await create_preview(house.platform, house.app, house.ada, "main", house.said)
    with pytest.raises(NotFound, match="no branch 'other'"):
        await create_preview(house.platform, house.app, house.ada, "other", house.said)


async def test_the_production_branch_can_be_changed_and_the_environment_stays(house: House) -> None:
    await house.push("main")
    await set_production_branch(house.platform, house.app, house.ada, "trunk")
    assert house.engine.running == ["shop-production-web-v1"]
    await house.push("main")
    assert await house.branches() == ["main"]
    await house.push("trunk")
    assert "shop-production-web-v2" in house.engine.running
    head = (house.platform.repositories.path(house.app) / "HEAD").read_text()
    assert head == "ref: refs/heads/trunk\n"
    for name in ("", "a..b", "a b", "x" * 300):
        with pytest.raises(Invalid):
            await set_production_branch(house.platform, house.app, house.ada, name)


async def test_an_app_has_a_limited_number_of_previews(house: House) -> None:
    for number in range(PREVIEWS_LIMIT):
        name = f"branch-{number}"
        await house.platform.db.call(
            environments.create, house.app, name, name, f"{name}--shop.localhost", NOW
        )
    with pytest.raises(LimitExceeded, match="50 previews"):
        await house.push("topic")


async def test_a_destroyed_app_takes_its_previews_with_it(house: House) -> None:
    await house.push("main")
    await house.push("topic")
    await destroy_app(house.platform, house.app, house.ada, "shop")
    assert (house.engine.running, house.router.routes, house.platform.keepers) == ([], {}, {})
    with pytest.raises(NotFound):
        await house.platform.db.read(apps.by_id, house.app.id)


async def test_destroying_a_preview_leaves_its_branch(house: House) -> None:
    await house.push("topic")
    topic = await house.preview("topic")
    await previews.destroy_preview(house.platform, house.app, house.ada, topic)
    assert (await house.branches(), house.engine.running) == ([], [])
    assert house.tip("topic") != ZERO
    with pytest.raises(NotFound):
        await change_config(house.platform, house.app, topic, house.ada, changes_of({"A": "1"}), house.said)
    production = await production_of(house.platform, house.app)
    with pytest.raises(NotFound, match="'production' is no preview of shop"):
        await previews.destroy_preview(house.platform, house.app, house.ada, production)


async def test_logs_without_an_environment_are_removed(house: House) -> None:
    await house.push("topic")
    for label in ("topic--shop", "gone--shop", "shop-production"):
        (house.platform.data / "logs" / label).mkdir(parents=True)
    await previews.forget_logs(house.platform)
    left = sorted(path.name for path in (house.platform.data / "logs").iterdir())
    assert left == ["shop-production", "topic--shop"]


async def test_a_slow_build_of_a_preview_keeps_nobody_from_rolling_back(house: House) -> None:
    await house.push("main")
    await house.push("main")
    production = await production_of(house.platform, house.app)
    async with house.platform.building[house.app.id], asyncio.timeout(10):
        house.platform.later(tidy(house.platform, production))
        await asyncio.sleep(0)
        release = await rollback(house.platform, house.app, production, house.ada, None, house.said)
    assert release.name == "v3"
