"""The /etc that sandboxes see: kept by hostd, from the parts of the machine's own that programs in /usr need.

Nothing secret is in it: no shadow, no keys, no configuration of the machine's services. It is brought up to date in
place, file by file, because sandboxes that run look at this very directory.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from hostd.engine.sandbox import HOME, USER

_COPIED = (
    "alternatives ca-certificates ca-certificates.conf debian_version fonts gai.conf ImageMagick-6 java-11-openjdk "
    "java-17-openjdk java-21-openjdk ld.so.cache ld.so.conf ld.so.conf.d localtime magic magic.mime maven "
    "mime.types os-release perl php pki protocols python3 python3.11 python3.12 python3.13 rpc services "
    "ssl/certs ssl/openssl.cnf terminfo timezone xml"
).split()


def prepare(target: Path, resolvers: Sequence[str], source: Path = Path("/etc")) -> None:
    """Make `target` like the machine's, world-readable. Files only root may read are left out. Raises OSError."""
    target.mkdir(parents=True, exist_ok=True)
    for name in _COPIED:
        _bring(source / name, target / name)
    for name, content in written(resolvers).items():
        _replace(target / name, partial(_write, content))


def written(resolvers: Sequence[str]) -> dict[str, str]:
    """The files hostd writes itself. `resolvers`: addresses of name servers a sandbox can reach."""
    nobody = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin"
    return {
        "passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\napp:x:{USER}:{USER}:app:{HOME}:/bin/sh\n{nobody}\n",
        "group": f"root:x:0:\napp:x:{USER}:\nnogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost app\n",
        "hostname": "app\n",
        "host.conf": "multi on\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
        "resolv.conf": "".join(f"nameserver {address}\n" for address in resolvers) + "options timeout:2\n",
    }


def _bring(source: Path, target: Path) -> None:
    if source.is_symlink():
        link = source.readlink()
        if not target.is_symlink() or target.readlink() != link:
            _replace(target, lambda path: path.symlink_to(link))
    elif source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(0o755)
        for path in source.iterdir():
            if path.suffix != ".gz":  # alternatives of manual pages
                _bring(path, target / path.name)
    elif source.is_file() and source.stat().st_mode & 0o004 and not _same(source, target):
        _replace(target, lambda path: shutil.copy2(source, path))


def _write(content: str, path: Path) -> None:
    path.write_text(content)
    path.chmod(0o644)


def _replace(target: Path, make: Callable[[Path], object]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(target):
        make(target)
        return
    fresh = target.with_name(f".{target.name}.partial")
    fresh.unlink(missing_ok=True)
    make(fresh)
    fresh.rename(target)


def _same(source: Path, target: Path) -> bool:
    if not target.is_file():
        return False
    here, there = source.stat(), target.stat()
    return (here.st_size, here.st_mtime_ns) == (there.st_size, there.st_mtime_ns)
