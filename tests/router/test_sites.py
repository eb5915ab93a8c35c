"""Directories that the router serves itself."""

import gzip
import os
from pathlib import Path

import pytest

from hostd.model.route import Route, ToDirectory
from hostd.router.nginx import NginxRouter
from tests.router.wire import Answer, get

pytestmark = pytest.mark.router

FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture
async def site(router: NginxRouter, place: Path) -> Path:
    """A site at shop.localhost, and at app.localhost as a single page; beside it a file that nobody may see."""
    root = place / "site"
    (root / "docs/deep").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / ".well-known/.hidden").mkdir(parents=True)
    for name, text in {
        "index.html": "<h1>home</h1>",
        "docs/index.html": "docs",
        "docs/deep/page.html": "deep",
        "app-3f9c2b1a.js": "js",
        "main.8f3a9c1d.css": "css",
        "index-BdH3x_9Q.js": "vite",
        "app-deadbeef.js": "word",
        "my-filename.js": "plain",
        "data.bin": "0123456789",
        "höhe &.txt": "umlaut",
        ".env": "SECRET=1",
        ".git/config": "secret",
        ".well-known/acme": "token",
        ".well-known/.hidden/x": "secret",
    }.items():
        (root / name).write_text(text)
    (root / "big.txt").write_text("text " * 1000)
    (root / "big.txt.gz").write_bytes(gzip.compress(b"text " * 1000, mtime=0))
    (place / "secret.txt").write_text("secret")
    (root / "out.txt").symlink_to(place / "secret.txt")
    (root / "out").symlink_to(place)
    await router.publish(
        [
            Route("shop.localhost", ToDirectory(str(root)), "shop", "v1"),
            Route("app.localhost", ToDirectory(str(root), single_page=True), "shop", "v1"),
        ]
    )
    return root


@pytest.mark.parametrize(
    ("path", "text", "content_type", "freshness"),
    [
        ("/", "<h1>home</h1>", "text/html; charset=utf-8", "no-cache"),
        ("/docs/", "docs", "text/html; charset=utf-8", "no-cache"),
        ("/docs/deep/page.html?q=1", "deep", "text/html; charset=utf-8", "no-cache"),
        ("//docs/./deep/../", "docs", "text/html; charset=utf-8", "no-cache"),
        ("/app-3f9c2b1a.js", "js", "application/javascript; charset=utf-8", FOREVER),
        ("/main.8f3a9c1d.css", "css", "text/css; charset=utf-8", FOREVER),
        ("/index-BdH3x_9Q.js", "vite", "application/javascript; charset=utf-8", FOREVER),
        ("/my-filename.js", "plain", "application/javascript; charset=utf-8", "no-cache"),
        ("/data.bin", "0123456789", "application/octet-stream", "no-cache"),
        ("/h%C3%B6he%20&.txt", "umlaut", "text/plain; charset=utf-8", "no-cache"),
        ("/.well-known/acme", "token", "application/octet-stream", "no-cache"),
    ],
)
async def test_a_file_is_served_with_its_type_and_freshness(
    site: Path, port: int, path: str, text: str, content_type: str, freshness: str
) -> None:
    got = await get(port, "shop.localhost", path)
    assert (got.status, got.body.decode()) == (200, text)
    assert (got.headers["content-type"], got.headers["cache-control"]) == (content_type, freshness)
    assert "last-modified" not in got.headers


@pytest.mark.parametrize(
    "path",
    [
        "/nosuch",
        "/nosuch/",
        "/docs/deep/",
        "/.env",
        "/.git/config",
        "/.git",
        "/docs/%2egit",
        "/.well-known/.hidden/x",
        "/x/.well-known/acme",
        "/out.txt",
        "/out/secret.txt",
        "/%2e%2e/secret.txt",
        "/docs/%2e%2e/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "//../secret.txt",
        "/docs/..;/secret.txt",
        "/%252e%252e/secret.txt",
        "/index.html%00",
        "/index.html/",
        "/index.html/x",
        "/%c0%ae%c0%ae/secret.txt",
    ],
)
async def test_no_path_leads_out_of_the_site_or_to_a_dotfile(site: Path, port: int, path: str) -> None:
    got = await get(port, "shop.localhost", path)
    assert got.status in (400, 404) and b"secret" not in got.body.lower()


async def test_a_directory_without_its_slash_is_redirected(site: Path, port: int) -> None:
    got = await get(port, "shop.localhost:8080", "/docs?q=1")
    assert (got.status, got.headers["location"]) == (301, "/docs/?q=1")
    assert (await get(port, "shop.localhost", "//docs")).headers["location"] == "/docs/"


async def test_an_unchanged_file_is_not_sent_again(site: Path, port: int) -> None:
    first = await get(port, "shop.localhost", "/data.bin")
    again = await get(port, "shop.localhost", "/data.bin", f"If-None-Match: {first.headers['etag']}")
    assert (again.status, again.body) == (304, b"")
    os.utime(site / "data.bin", (1, 1))
    changed = await get(port, "shop.localhost", "/data.bin", f"If-None-Match: {first.headers['etag']}")
    assert changed.status == 200


async def test_a_part_of_a_file_can_be_asked_for(site: Path, port: int) -> None:
    async def part(ranges: str) -> Answer:
        return await get(port, "shop.localhost", "/data.bin", f"Range: bytes={ranges}")

    got = await part("2-4")
    assert (got.status, got.body, got.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert (await part("-3")).body == b"789"
    assert (await part("20-")).status == 416
    assert (await part(",".join(["0-9"] * 1000))).body == b"0123456789"


async def test_a_precompressed_file_is_sent_to_who_takes_it(site: Path, port: int) -> None:
    got = await get(port, "shop.localhost", "/big.txt", "Accept-Encoding: gzip")
    assert gzip.decompress(got.body) == b"text " * 1000
    assert (got.headers["content-encoding"], got.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert (await get(port, "shop.localhost", "/big.txt")).body == b"text " * 1000


async def test_the_sites_own_404_page_is_used(site: Path, port: int) -> None:
    assert b"There is nothing at this address" in (await get(port, "shop.localhost", "/nosuch")).body
    (site / "404.html").write_text("my own page")
    got = await get(port, "shop.localhost", "/nosuch")
    assert (got.status, got.body) == (404, b"my own page")
    assert got.headers["content-type"] == "text/html; charset=utf-8"


async def test_a_single_page_site_answers_paths_without_a_file_with_its_page(site: Path, port: int) -> None:
    for path in ("/users/7", "/nosuch.js", "/docs/deep/"):
        got = await get(port, "app.localhost", path)
        assert (got.status, got.body, got.headers["cache-control"]) == (200, b"<h1>home</h1>", "no-cache")
    assert (await get(port, "app.localhost", "/main.8f3a9c1d.css")).body == b"css"
    assert (await get(port, "app.localhost", "/.env")).status == 404
    assert (await get(port, "app.localhost", "/out.txt")).body == b"<h1>home</h1>"


async def test_files_can_only_be_read(site: Path, port: int) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        got = await get(port, "shop.localhost", "/", "Content-Length: 0", method=method)
        assert (got.status, got.headers["allow"]) == (405, "GET, HEAD")
    head = await get(port, "shop.localhost", "/data.bin", method="HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, "10", b"")


async def test_another_release_is_another_directory_at_once(
    site: Path, router: NginxRouter, place: Path, port: int
) -> None:
    assert (await get(port, "shop.localhost", "/")).body == b"<h1>home</h1>"
    (place / "next").mkdir()
    (place / "next/index.html").write_text("next")
    await router.publish([Route("shop.localhost", ToDirectory(str(place / "next")), "shop", "v2")])
    assert (await get(port, "shop.localhost", "/")).body == b"next"
