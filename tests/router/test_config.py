"""What nginx is started with."""

import json
from dataclasses import replace
from pathlib import Path

from hostd.model.instance import Endpoint
from hostd.router.config import RouterConfig, files, nginx_conf, version
from hostd.router.pages import PAGES, pages_json

CONFIG = RouterConfig(
    directory=Path("/srv/router"),
    http_port=80,
    https_port=None,
    hostd_endpoint=Endpoint("127.0.0.1", 8700),
    hostd_host="hostd.localhost",
    ipv6=True,
    root=True,
    open_files=1024,
)


def test_every_place_of_the_template_is_filled_in() -> None:
    for config in (CONFIG, replace(CONFIG, https_port=443), replace(CONFIG, hostd_host=None, ipv6=False)):
        assert "{{" not in nginx_conf(config)


def test_the_router_listens_where_it_is_told() -> None:
    text = nginx_conf(replace(CONFIG, https_port=8443))
    assert "listen 80 default_server" in text and "listen [::]:80 default_server" in text
    assert "listen 8443 ssl http2 default_server" in text
    assert "ssl" not in nginx_conf(CONFIG) and "[::]" not in nginx_conf(replace(CONFIG, ipv6=False))


def test_hostd_has_a_location_only_if_it_has_a_host() -> None:
    assert "server 127.0.0.1:8700" in nginx_conf(CONFIG) and '"hostd.localhost"' in nginx_conf(CONFIG)
    assert "@hostd" not in nginx_conf(replace(CONFIG, hostd_endpoint=None))


def test_the_version_changes_with_any_file() -> None:
    contents = files(CONFIG)
    assert {"nginx.conf", "pages.json", "lua/lookup.lua", "lua/balancer.lua"} <= set(contents)
    assert version(contents) == version(files(CONFIG))
    assert version(contents) != version(files(replace(CONFIG, http_port=81)))
    assert version(contents) != version({**contents, "lua/lookup.lua": b""})


def test_every_page_names_its_code_and_has_a_place_for_the_request() -> None:
    pages = json.loads(pages_json())
    assert set(pages) == set(PAGES)
    for code, page in pages.items():
        assert page["html"].count("{request_id}") == 1 and f"<small>{code} " in page["html"]
        assert 400 <= page["status"] < 600
