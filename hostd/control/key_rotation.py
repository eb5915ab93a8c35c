"""A new key for all secrets, in three steps. Killed between or within any two, every secret can still be read, and
the next rotation goes on where this one ended. Never beside a running hostd: it would go on with the old key.
"""

from pathlib import Path

from hostd.control.secrets import Secrets, new_key, read_keys, write_keys
from hostd.store import encrypted
from hostd.store.database import Database


async def rotate_key(db: Database, path: Path) -> int:
    """Replace the key in the file at `path`; how many secrets were encrypted anew. Raises Unavailable."""
    secrets = begin_rotation(path)
    count = await db.call(encrypted.encrypt_anew, secrets.encrypt_anew)
    end_rotation(path)
    return count


def begin_rotation(path: Path) -> Secrets:
    """A new key before the old one in the file, unless an earlier rotation has put one there."""
    keys = read_keys(path)
    if len(keys) == 1:
        keys = [new_key(), *keys]
        write_keys(path, keys)
    return Secrets(*keys)


def end_rotation(path: Path) -> None:
    """The old key is forgotten: nothing is encrypted with it any more."""
    write_keys(path, read_keys(path)[:1])
