"""Routes of Previews: kept out of search engines, and behind a password if one is set."""

import asyncio
import base64
from pathlib import Path

import pytest

from hostd.model.preview import locked
from hostd.model.route import Route, Target, ToDirectory, ToError, ToInstances
from hostd.router.nginx import NginxRouter
from tests.router.wire import Answer, Request, answer, backend, get, says

pytestmark = pytest.mark.router

HOST = "fix--shop.localhost"
PASSWORD = "open sesame: now"


def preview(target: Target, password: str = "") -> Route:
    """A Route of a Preview."""
    kept = locked(password, "ab12") if password else ""
    return Route(HOST, target, "shop", "v1", "fix--shop", noindex=True, password=kept)


def basic(credentials: str) -> str:
    """The header that a browser sends."""
    return f"Authorization: Basic {base64.b64encode(credentials.encode()).decode()}"


async def test_every_answer_of_a_preview_says_noindex_and_none_of_production_does(
    router: NginxRouter, port: int, place: Path
) -> None:
    (place / "site").mkdir()
    (place / "site/index.html").write_text("home")
    async with backend(says("hello")) as endpoint:
        for target in (ToInstances((endpoint,)), ToDirectory(str(place / "site")), ToError("H80")):
            await router.publish([preview(target), Route("shop.localhost", target, "shop", "v1")])
            for path in ("/", "/missing"):
                assert (await get(port, HOST, path)).headers["x-robots-tag"] == "noindex, nofollow"
                assert "x-robots-tag" not in (await get(port, "shop.localhost", path)).headers
    await router.publish([preview(ToInstances((endpoint,)))])  # nobody listens there any more
    gone = await get(port, HOST)
    assert (gone.status, gone.headers["x-robots-tag"]) == (503, "noindex, nofollow")


@pytest.mark.parametrize(
    "field",
    [
        "X-Nothing: here",
        basic("ada:wrong"),
        basic("ada"),
        basic(""),
        basic(PASSWORD),
        basic(f"ada:{PASSWORD} "),
        basic(f"ada:{PASSWORD}\n"),
        "Authorization: Basic",
        "Authorization: Basic !!!",
        f"Authorization: Bearer {PASSWORD}",
        "Authorization: " + "x" * 4000,
    ],
)
async def test_without_the_password_nothing_of_the_preview_is_seen(
    router: NginxRouter, port: int, field: str
) -> None:
    async with backend(says("secret")) as endpoint:
        await router.publish([preview(ToInstances((endpoint,)), PASSWORD)])
        for path in ("/", "//", "/a%2fb", "/..;/", "/.well-known/x", "/?x"):
            got: Answer = await get(port, HOST, path, field)
            assert got.status == 401
            assert got.headers["www-authenticate"] == 'Basic realm="preview", charset="UTF-8"'
            assert b"secret" not in got.body


@pytest.mark.parametrize("user", ["", "ada", "anyone at all"])
async def test_with_the_password_the_app_answers_and_does_not_get_it(
    router: NginxRouter, port: int, place: Path, user: str
) -> None:
    seen: list[str | None] = []

    async def handle(request: Request, writer: asyncio.StreamWriter) -> None:
        seen.append(request.field("Authorization"))
        writer.write(answer("hello"))

    (place / "site").mkdir()
    (place / "site/index.html").write_text("home")
    async with backend(handle) as endpoint:
        await router.publish([preview(ToInstances((endpoint,)), PASSWORD)])
        assert (await get(port, HOST, "/", basic(f"{user}:{PASSWORD}"))).body == b"hello"
    await router.publish([preview(ToDirectory(str(place / "site")), PASSWORD)])
    assert (await get(port, HOST, "/", basic(f"{user}:{PASSWORD}"))).body == b"home"
    assert seen == [None]


async def test_an_apps_own_authorization_is_left_alone_where_there_is_no_password(
    router: NginxRouter, port: int
) -> None:
    seen: list[str | None] = []

    async def handle(request: Request, writer: asyncio.StreamWriter) -> None:
        seen.append(request.field("Authorization"))
        writer.write(answer("hello"))

    async with backend(handle) as endpoint:
        await router.publish([preview(ToInstances((endpoint,)))])
        await get(port, HOST, "/", "Authorization: Bearer mine")
    assert seen == ["Bearer mine"]
