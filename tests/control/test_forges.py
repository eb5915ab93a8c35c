"""Following a repository: a real one over HTTP, and a forge that is told statuses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hostd.control import forges, webhooks
from hostd.control.config import change_config, change_preview_config, config_of
from hostd.control.deliveries import work_off_deliveries
from hostd.control.deploys import pause_deploys, resume_deploys
from hostd.control.platform import FETCHES
from hostd.control.previews import change_settings, environment_of
from hostd.control.pulling import pull_now
from hostd.errors import (
    BuildFailed,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    RolloutFailed,
    Unauthorized,
    Unavailable,
)
from hostd.git import remote
from hostd.model.app import User
from hostd.model.config import ConfigChange, Scope
from hostd.model.forge import Delivery, DeliveryState, Event, Kind
from hostd.store import apps, deliveries
from hostd.transcript import Transcript
from tests.control.house import House, house_in
from tests.eventually import DEADLINE, until
from tests.forge import ZERO, FakeForge, forge_in, pull_request, pushed, signed

MAIN = "refs/heads/main"
FILES = {"index.html": "hello\n"}
TOKEN = "s3cret-t0ken"


@dataclass
class Place:
    """A House whose App follows the forge's repository."""

    house: House
    forge: FakeForge
    secret: str
    sent: int = 0

    async def send(self, event: str, payload: Any, key: str = "") -> tuple[Event, Delivery | None]:
        """A delivery, signed."""
        self.sent += 1
        headers, body = signed(self.secret, event, payload, key or f"key-{self.sent}")
        found = await forges.forge_of(self.house.platform, self.house.app)
        return await webhooks.take(self.house.platform, found, headers, body)

    async def push(self, ref: str = MAIN, text: str = "hello") -> str:
        """A commit at the forge, and its webhook; the commit."""
        commit = self.forge.commit(ref, {"index.html": text})
        await self.send("push", pushed(ref, commit))
        return commit

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """While hostd works off what is delivered."""
        task = asyncio.create_task(work_off_deliveries(self.house.platform))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.house.settled()

    async def settle(self) -> list[Delivery]:
        """Work off all there is; the log, oldest first."""
        async with self.working():
            async with asyncio.timeout(DEADLINE):
                while any(each.state in ("queued", "building") for each in await self.log()):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        return await self.log()

    async def log(self) -> list[Delivery]:
        """All deliveries, oldest first."""
        return list(reversed(await forges.deliveries_of(self.house.platform, self.house.app)))


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[FakeForge]:
    with forge_in(tmp_path / "forge", TOKEN) as made:
        yield made


@pytest.fixture
async def place(tmp_path: Path, forge: FakeForge) -> AsyncIterator[Place]:
    async with house_in(tmp_path) as house:
        house.platform = replace(house.platform, private_forges=True)
        connected = await forges.connect(
            house.platform, house.app, house.ada, Kind.GITHUB, forge.repository, TOKEN, f"{forge.url}/api"
        )
        yield Place(house, forge, connected.secret)


async def test_a_push_at_the_forge_is_deployed_and_reported(place: Place) -> None:
    commit = await place.push()
    (done,) = await place.settle()
    assert (done.state, done.release, done.commit) == ("deployed", "v1", commit)
    assert done.url == "http://shop.localhost:8080"
    assert place.house.tip("main") == commit
    (live,) = await place.house.stored()
    assert (live.commit, live.author) == (commit, "ada")
    assert place.forge.states(commit) == ["pending", "success"]
    path, body = place.forge.statuses[-1]
    assert path == f"/api/repos/me/shop/statuses/{commit}"
    assert body["context"] == "hostd/production"
    assert body["target_url"] == done.url
    assert done.report == "told: success"


async def test_who_delivers_without_end_is_told_to_wait_and_keeps_so_many_records(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "OPEN_LIMIT", 3)
    monkeypatch.setattr(deliveries, "MOST", 5)
    for number in range(3):
        await place.send("push", pushed(f"refs/heads/b{number}", "c" * 40))
    with pytest.raises(RateLimited, match="3 deliveries are queued already"):
        await place.send("push", pushed("refs/heads/b3", "c" * 40))
    await place.send("pull_request", pull_request("opened", 1, "c" * 40))
    for number in range(7):
        await place.send("push", pushed(f"refs/tags/v{number}", "c" * 40))
    states = [each.state for each in await place.log()]
    assert (states[:3], len(states)) == (["queued"] * 3, 4 + 5)


async def test_one_users_forges_are_fetched_from_a_few_at_a_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, most = 0, 0

    async def slow(*_: object) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.05)
        at_once -= 1

    monkeypatch.setattr(remote, "fetch", slow)
    house = place.house
    pulls = [pull_now(house.platform, house.app, house.ada, "topic", Transcript()) for _ in range(12)]
    await asyncio.gather(*pulls, return_exceptions=True)
    assert most == FETCHES


async def test_another_branch_gets_a_preview_that_goes_with_its_deletion(place: Place) -> None:
    await place.push()
    commit = await place.push("refs/heads/topic", "topic")
    done = (await place.settle())[-1]
    assert (done.state, done.url) == ("deployed", "http://topic--shop.localhost:8080")
    assert place.forge.statuses[-1][1]["context"] == "hostd/preview"
    place.forge.git("update-ref", "-d", "refs/heads/topic")
    await place.send("push", pushed("refs/heads/topic", ZERO))
    gone = (await place.settle())[-1]
    assert gone.state is DeliveryState.REMOVED
    assert place.house.tip("topic") == ZERO
    with pytest.raises(NotFound):
        await environment_of(place.house.platform, place.house.app, "topic")
    assert place.forge.states(commit) == ["pending", "success"]


async def test_a_history_that_was_rewritten_is_followed(place: Place) -> None:
    await place.push()
    await place.settle()
    place.forge.git("update-ref", "-d", MAIN)
    commit = await place.push(text="rewritten")
    assert [each.state for each in await place.settle()] == ["deployed", "deployed"]
    assert place.house.tip("main") == commit


async def test_of_several_pushes_to_a_branch_only_the_newest_is_built(place: Place) -> None:
    commits = [await place.push(text=str(number)) for number in range(3)]
    first, second, third = await place.settle()
    assert [first.state, second.state, third.state] == ["skipped", "skipped", "deployed"]
    assert first.reason == f"superseded by delivery {third.id}"
    assert place.house.builder.built == [commits[-1]]


async def test_the_same_delivery_twice_is_one(place: Place) -> None:
    commit = place.forge.commit(MAIN, FILES)
    _, first = await place.send("push", pushed(MAIN, commit), "same")
    _, second = await place.send("push", pushed(MAIN, commit), "same")
    assert first is not None
    assert second is None
    assert len(await place.settle()) == 1
    assert place.house.builder.built == [commit]


async def test_an_old_event_under_a_new_id_brings_back_nothing_old(place: Place) -> None:
    old = await place.push(text="old")
    new = await place.push(text="new")
    await place.settle()
    await place.send("push", pushed(MAIN, old), "replayed")
    again = (await place.settle())[-1]
    assert (again.state, again.reason) == ("deployed", "it runs already")
    assert place.house.builder.built == [new]
    await place.send("push", pushed(MAIN, ZERO), "a forged deletion")
    assert (await place.settle())[-1].reason == "it runs already"


async def test_what_was_cut_off_is_done_after_the_next_start_once(place: Place) -> None:
    commit = await place.push()
    taken = await place.house.platform.db.call(
        deliveries.take, place.house.app.id, place.house.platform.now()
    )
    assert taken is not None
    assert taken.state is DeliveryState.BUILDING
    (done,) = await place.settle()
    assert done.state is DeliveryState.DEPLOYED
    assert place.house.builder.built == [commit]


async def test_what_was_live_before_hostd_could_say_so_is_not_built_again(place: Place) -> None:
    commit = await place.push()
    (done,) = await place.settle()
    unsaid = replace(done, state=DeliveryState.BUILDING, release="")
    await place.house.platform.db.call(deliveries.finish, unsaid)
    (again,) = await place.settle()
    assert (again.state, again.release) == ("deployed", "v1")
    assert place.house.builder.built == [commit]
    assert place.forge.states(commit)[-1] == "success"


async def test_what_an_app_answers_is_not_told_to_the_forge(place: Place) -> None:
    why = "web answers 500 on / after 60 s"
    place.house.builder.refuse = RolloutFailed(f"{why}; its answer begins: s3cret")
    await place.push()
    (failed,) = await place.settle()
    assert failed.reason.endswith("s3cret")
    assert place.forge.statuses[-1][1]["description"] == f"release failed: {why}"


async def test_a_build_that_fails_is_reported_and_moves_nothing(place: Place) -> None:
    place.house.builder.refuse = BuildFailed("no buildpack recognises this app")
    commit = await place.push()
    (failed,) = await place.settle()
    assert failed.state is DeliveryState.FAILED
    assert failed.reason == "build failed: no buildpack recognises this app"
    assert place.house.tip("main") == ZERO
    assert place.forge.states(commit) == ["pending", "failure"]
    place.house.builder.refuse = None
    await forges.redeliver(place.house.platform, place.house.app, place.house.ada, failed.id)
    (done,) = await place.settle()
    assert done.state is DeliveryState.DEPLOYED


async def test_without_previews_a_branch_is_stored_and_reported_as_not_deployed(place: Place) -> None:
    await change_settings(place.house.platform, place.house.app, place.house.ada, enabled=False)
    commit = await place.push("refs/heads/topic")
    (skipped,) = await place.settle()
    assert skipped.state is DeliveryState.SKIPPED
    assert skipped.reason == "topic stored, not deployed: only main deploys"
    assert place.forge.states(commit) == ["pending", "error"]


async def test_while_deploys_are_paused_nothing_is_fetched_and_the_forge_is_told(place: Place) -> None:
    platform, app, ada = place.house.platform, place.house.app, place.house.ada
    await pause_deploys(platform, app, place.house.production, ada, "the fair begins")
    commit = await place.push()
    (skipped,) = await place.settle()
    assert skipped.state is DeliveryState.SKIPPED
    assert "deploys are paused" in skipped.reason
    assert "the fair begins" in skipped.reason
    assert place.house.builder.built == []
    assert place.forge.states(commit) == ["error"]
    with pytest.raises(Conflict, match="are paused"):
        await pull_now(platform, app, ada, "main", Transcript())
    await resume_deploys(platform, app, place.house.production, ada)
    await forges.redeliver(platform, app, ada, skipped.id)
    assert (await place.settle())[0].state is DeliveryState.DEPLOYED


async def test_tags_and_other_events_do_nothing(place: Place) -> None:
    commit = place.forge.commit(MAIN, FILES)
    event, record = await place.send("ping", {"zen": "Keep it logically awesome."})
    assert (event.what, record) == ("ping", None)
    await place.send("push", pushed("refs/tags/v1", commit))
    event, record = await place.send("issues", {"repository": {"full_name": "me/shop"}})
    assert (event.what, record) == ("other", None)
    (tag,) = await place.settle()
    assert (tag.state, tag.reason) == ("skipped", "'refs/tags/v1' is no branch: only branches deploy")
    assert place.house.builder.built == []


async def test_a_secret_of_another_repository_is_refused(place: Place) -> None:
    payload = pushed(MAIN, "a" * 40) | {"repository": {"full_name": "them/other"}}
    with pytest.raises(Forbidden, match="not of 'them/other'"):
        await place.send("push", payload)
    place.secret = "another"
    with pytest.raises(Unauthorized, match="bad signature"):
        await place.push()
    assert await place.log() == []


async def test_a_fork_waits_for_approval_and_gets_no_config(place: Place) -> None:
    platform, app, ada = place.house.platform, place.house.app, place.house.ada
    wanted = {"SECRET": ConfigChange("production", scopes=frozenset(Scope))}
    await change_config(platform, app, place.house.production, ada, wanted, Transcript())
    await change_preview_config(platform, app, ada, {"SHARED": ConfigChange("previews")})
    commit = place.forge.commit("refs/pull/12/head", FILES)
    await place.send("pull_request", pull_request("opened", 12, commit))
    await place.house.settled()
    (waiting,) = await forges.pending_of(platform, app)
    assert waiting.state is DeliveryState.WAITING
    assert place.house.builder.built == []
    assert place.forge.states(commit) == ["pending"]
    await forges.approve(platform, app, ada, waiting.id)
    (done,) = await place.settle()
    assert (done.state, done.url, done.approved_by) == (
        "deployed",
        "http://pr-12--shop.localhost:8080",
        "ada",
    )
    preview = await environment_of(platform, app, "pr-12")
    assert preview.fork
    assert await config_of(platform, preview) == {}
    with pytest.raises(Conflict, match="does not wait for approval"):
        await forges.approve(platform, app, ada, waiting.id)


async def test_a_fork_takes_over_no_layers_of_production(place: Place) -> None:
    platform, app, ada = place.house.platform, place.house.app, place.house.ada
    await place.push()
    await place.push("refs/heads/topic", "topic")
    await place.settle()
    assert place.house.builder.previous is not None
    commit = place.forge.commit("refs/pull/12/head", FILES)
    await place.send("pull_request", pull_request("opened", 12, commit))
    await forges.approve(platform, app, ada, (await forges.pending_of(platform, app))[0].id)
    assert (await place.settle())[-1].state is DeliveryState.DEPLOYED
    assert place.house.builder.previous is None


async def test_each_new_commit_of_a_fork_waits_again(place: Place) -> None:
    platform, app, ada = place.house.platform, place.house.app, place.house.ada
    first = place.forge.commit("refs/pull/12/head", FILES)
    await place.send("pull_request", pull_request("opened", 12, first))
    second = place.forge.commit("refs/pull/12/head", {"index.html": "changed"})
    (seen,) = await forges.pending_of(platform, app)
    await forges.approve(platform, app, ada, seen.id)  # of what is not there any more
    (stale,) = await place.settle()
    assert stale.state is DeliveryState.FAILED
    assert f"only {first[:7]} was approved" in stale.reason
    await place.send("pull_request", pull_request("synchronize", 12, second))
    third = place.forge.commit("refs/pull/12/head", {"index.html": "again"})
    await place.send("pull_request", pull_request("synchronize", 12, third))
    (waiting,) = await forges.pending_of(platform, app)
    assert waiting.commit == third
    assert place.house.builder.built == []
    with pytest.raises(Conflict, match="waiting already"):
        await forges.redeliver(platform, app, ada, waiting.id)


async def test_closing_a_forks_pull_request_removes_its_preview(place: Place) -> None:
    platform, app, ada = place.house.platform, place.house.app, place.house.ada
    commit = place.forge.commit("refs/pull/12/head", FILES)
    await place.send("pull_request", pull_request("opened", 12, commit))
    await forges.approve(platform, app, ada, (await forges.pending_of(platform, app))[0].id)
    await place.settle()
    await place.send("pull_request", pull_request("closed", 12, commit))
    assert (await place.settle())[-1].state is DeliveryState.REMOVED
    with pytest.raises(NotFound):
        await environment_of(platform, app, "pr-12")
    assert place.house.tip("pr-12") == ZERO
    await place.send("pull_request", pull_request("closed", 13, commit))
    assert (await place.settle())[-1].reason == "nothing of it was deployed"


async def test_a_fork_does_not_take_a_branch_of_the_apps_own(place: Place) -> None:
    platform, app, ada = place.house.platform, place.house.app, place.house.ada
    await place.house.push("pr-12")
    commit = place.forge.commit("refs/pull/12/head", FILES)
    await place.send("pull_request", pull_request("opened", 12, commit))
    await forges.approve(platform, app, ada, (await forges.pending_of(platform, app))[0].id)
    (failed,) = await place.settle()
    assert failed.reason == "this app has a branch pr-12 of its own"
    assert not (await environment_of(platform, app, "pr-12")).fork
    await place.send("pull_request", pull_request("closed", 12, commit))
    await place.settle()
    assert place.house.tip("pr-12") != ZERO


async def test_a_pull_request_of_the_repository_itself_is_just_a_branch(place: Place) -> None:
    await place.send("pull_request", pull_request("opened", 12, "a" * 40, head="me/shop"))
    (skipped,) = await place.settle()
    assert skipped.state is DeliveryState.SKIPPED
    assert "deploys by itself" in skipped.reason


async def test_a_branch_is_pulled_by_hand_again_and_again(place: Place) -> None:
    platform, app, ada = place.house.platform, place.house.app, place.house.ada
    place.forge.commit(MAIN, FILES)
    said = Transcript()
    assert (await pull_now(platform, app, ada, "main", said)).name == "v1"
    assert said.lines[0] == f"-----> Fetching main from {place.forge.repository}"
    assert (await pull_now(platform, app, ada, "main", Transcript())).name == "v2"
    place.forge.commit("refs/heads/topic", FILES)
    assert (await pull_now(platform, app, ada, "topic", Transcript())).name == "v1"
    with pytest.raises(Conflict, match="neither the forge nor hostd has a branch absent"):
        await pull_now(platform, app, ada, "absent", Transcript())
    with pytest.raises(Invalid, match="invalid ref name"):
        await pull_now(platform, app, ada, "a..b", Transcript())


async def test_a_wrong_token_is_said_and_never_shown(place: Place) -> None:
    place.forge.token = "another"
    await place.push()
    (failed,) = await place.settle()
    assert failed.reason == f"{place.forge.repository} is not there, or the token may not read it"
    assert TOKEN not in str(failed)


async def test_a_forge_that_is_down_is_said(place: Place) -> None:
    commit = place.forge.commit(MAIN, FILES)
    await place.send("push", pushed(MAIN, commit))
    place.forge.port, port = 1, place.forge.port
    found = await forges.forge_of(place.house.platform, place.house.app)
    await forges.disconnect(place.house.platform, place.house.app, place.house.ada)
    down = found.repository.replace(f":{port}", ":1")
    with pytest.raises(Unavailable, match="fetching from"):
        connected = await forges.connect(
            place.house.platform, place.house.app, place.house.ada, Kind.GITEA, down, "", ""
        )
        assert connected.forge.api == "http://127.0.0.1:1/api/v1"
        await pull_now(place.house.platform, place.house.app, place.house.ada, "main", Transcript())


async def test_disconnecting_forgets_and_destroying_takes_it_along(place: Place) -> None:
    platform, app, ada = place.house.platform, place.house.app, place.house.ada
    await place.push()
    forge = await forges.forge_of(platform, app)
    with pytest.raises(Conflict, match="this app follows http"):
        await forges.connect(platform, app, ada, Kind.GITHUB, forge.repository, "", "")
    await platform.db.call(apps.destroy, app.id, platform.now())
    with pytest.raises(NotFound):
        await webhooks.find(platform, forge.id)


async def test_private_addresses_are_for_operators_who_allow_them(place: Place) -> None:
    platform = replace(place.house.platform, private_forges=False)
    with pytest.raises(Invalid, match="is at a private address"):
        await forges.connect(
            platform, place.house.app, place.house.ada, Kind.GITEA, "https://localhost/me/shop", "", ""
        )
    public, inside = "https://127.0.0.1/me/shop", "https://169.254.169.254/api"
    with pytest.raises(Invalid, match="is at a private address"):
        await forges.connect(platform, place.house.app, place.house.ada, Kind.GITEA, public, "", inside)
    with pytest.raises(Invalid, match="over https, not"):
        await forges.connect(
            platform, place.house.app, place.house.ada, Kind.GITEA, place.forge.repository, "", ""
        )
    with pytest.raises(Invalid, match="is at a private address"):  # connected while it was allowed
        await pull_now(platform, place.house.app, place.house.ada, "main", Transcript())


async def test_nobody_else_may(place: Place) -> None:
    platform, app = place.house.platform, place.house.app
    bob = User(99, "bob", administrator=False)
    with pytest.raises(NotFound):
        await forges.connect(platform, app, bob, Kind.GITHUB, place.forge.repository, "", "")
    for verb in (forges.approve, forges.redeliver):
        with pytest.raises(NotFound):
            await verb(platform, app, bob, 1)
    with pytest.raises(NotFound):
        await forges.disconnect(platform, app, bob)
    with pytest.raises(NotFound):
        await pull_now(platform, app, bob, "main", Transcript())


async def test_apps_do_not_wait_for_each_other(place: Place) -> None:
    async with place.working():
        commit = await place.push()
        await until(lambda: place.house.builder.built == [commit])
        await until(lambda: place.forge.states(commit) == ["pending", "success"])
        commit = await place.push(text="later")
        await until(lambda: place.forge.states(commit) == ["pending", "success"])
