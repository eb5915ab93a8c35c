"""Pure: the files nginx runs from, made from a few values. They are the same for every app."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hostd.model.instance import Endpoint
from hostd.router.pages import pages_json

HERE = Path(__file__).parent
MODULES = Path("/usr/lib/nginx/modules")
MIME_TYPES = Path("/etc/nginx/mime.types")
WORKER = "www-data"


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """Where nginx listens and lives. `hostd_host` is routed to `hostd_endpoint`, if both are given.

    `open_files` is the limit of one worker.
    """

    directory: Path
    http_port: int
    https_port: int | None
    hostd_endpoint: Endpoint | None
    hostd_host: str | None
    ipv6: bool
    root: bool
    open_files: int


def files(config: RouterConfig) -> Mapping[str, bytes]:
    """Relative path -> content of everything nginx reads but the table and the certificates."""
    lua = {f"lua/{path.name}": path.read_bytes() for path in sorted(HERE.glob("*.lua"))}
    return {"nginx.conf": nginx_conf(config).encode(), "pages.json": pages_json(), **lua}


def version(contents: Mapping[str, bytes]) -> str:
    """Equal for equal files: whether a running nginx is what we would start."""
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def nginx_conf(config: RouterConfig) -> str:
    """The text of nginx.conf. Only values of ours go in, no tenant's."""
    hostd = config.hostd_endpoint is not None and config.hostd_host is not None
    values = {
        "directory": str(config.directory),
        "modules": str(MODULES),
        "mime_types": str(MIME_TYPES),
        "user": f"user {WORKER};" if config.root else "",
        "open_files": str(config.open_files),
        "hostd_host": json.dumps(config.hostd_host) if hostd else "nil",
        "https_port": str(config.https_port or "nil"),
        "hostd_upstream": _HOSTD_UPSTREAM.format(config.hostd_endpoint) if hostd else "",
        "hostd_location": _HOSTD_LOCATION if hostd else "",
        "app": _APP,
        "site": _SITE,
        "listen": "\n".join(f"        {line}" for line in _listen(config)),
    }
    text = (HERE / "nginx.conf").read_text()
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def _listen(config: RouterConfig) -> list[str]:
    addresses = ["", "[::]:"] if config.ipv6 else [""]
    lines = [f"listen {address}{config.http_port} default_server backlog=4096;" for address in addresses]
    if config.https_port is None:
        return lines
    return [
        *lines,
        *(
            f"listen {address}{config.https_port} ssl http2 default_server backlog=4096;"
            for address in addresses
        ),
        "ssl_certificate private/nobody.crt;",
        "ssl_certificate_key private/nobody.key;",
        'ssl_certificate_by_lua_block { require("certificate").choose() }',
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "ssl_session_cache shared:tls:8m;",
        "ssl_session_timeout 1d;",
        "ssl_session_tickets off;",
        "http2_max_concurrent_streams 100;",
    ]


# Variables are set by Lua; unlike ngx.ctx they survive the way to another location.
_APP = """\
            set $endpoint "";
            set $site "";
            access_by_lua_block { hostd.lookup.access() }
            header_filter_by_lua_block { hostd.pauses.answered() }
            error_page 500 502 504 @failed;
            proxy_pass http://instances;"""

# A symlink below a site is never followed, wherever it points.
_SITE = """\
            root $site;
            disable_symlinks on from=$site;
            charset utf-8;"""

_HOSTD_UPSTREAM = """
    upstream hostd {{
        server {0} max_fails=0;
        keepalive 32;
        keepalive_timeout 1s;
    }}
"""

# Pushes, clones and event streams: long, large and never kept back.
_HOSTD_LOCATION = """
        location @hostd {
            proxy_pass http://hostd;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
            error_page 500 502 504 @failed;
        }
"""
