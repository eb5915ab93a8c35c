"""Secrets at rest: ConfigVars are encrypted with a key that lies beside the database, never in it.

While a key is replaced (`key_rotation`) the file has two: the first encrypts, both decrypt.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from hostd import files
from hostd.errors import Unavailable

KEYS_LIMIT = 2


class Secrets:
    """Encrypts with the first of its keys (Fernet: AES-128-CBC and HMAC-SHA256, github.com/fernet/spec)."""

    def __init__(self, *keys: bytes) -> None:
        """Each key is 32 bytes in URL-safe base64. Raises ValueError for anything else, and for none."""
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self._first = keys[0]

    @staticmethod
    def open(path: Path) -> "Secrets":
        """With the keys in the file at `path`, mode 0600; the first time, make one.

        Raises Unavailable for a key that others can read, that is damaged, or that cannot be stored.
        """
        if not path.exists():
            write_keys(path, [new_key()])
        return Secrets(*read_keys(path))

    def encrypt(self, secret: bytes) -> bytes:
        """Never the same twice, also for the same secret."""
        return self._fernet.encrypt(secret)

    def decrypt(self, encrypted: bytes) -> bytes:
        """What `encrypt` was given. Raises Unavailable if it was changed, or encrypted with another key."""
        try:
            return self._fernet.decrypt(encrypted)
        except InvalidToken as error:
            raise Unavailable(
                "a secret cannot be decrypted: it was encrypted with another key, or is damaged",
                hint="restore the key file that belongs to this database from a backup",
            ) from error

    def encrypt_anew(self, encrypted: bytes) -> bytes:
        """The same secret, encrypted with the first key. Raises as `decrypt` does."""
        return self.encrypt(self.decrypt(encrypted))

    def encrypt_mapping(self, config: Mapping[str, str]) -> bytes:
        """A whole config as one secret."""
        return self.encrypt(json.dumps(dict(config), sort_keys=True).encode())

    def decrypt_mapping(self, encrypted: bytes) -> Mapping[str, str]:
        """What `encrypt_mapping` was given. Raises as `decrypt` does."""
        config: Mapping[str, str] = json.loads(self.decrypt(encrypted))
        return config

    def fingerprint(self, content: object) -> str:
        """Tells contents (JSON) apart without telling anything about them to whoever lacks the key."""
        text = json.dumps(content, sort_keys=True).encode()
        return hmac.digest(self._first, text, hashlib.sha256).hex()[:32]


def new_key() -> bytes:
    """A key nobody has had."""
    return Fernet.generate_key()


def read_keys(path: Path) -> Sequence[bytes]:
    """The keys in the file, the one that encrypts first. Raises Unavailable."""
    try:
        if path.stat().st_mode & 0o077:
            raise Unavailable(f"the key {path} can be read by others", hint=f"chmod 600 {path}")
        keys = path.read_bytes().split()
        Secrets(*keys)
    except ValueError as error:
        raise _damaged(path) from error
    except OSError as error:
        raise _unusable(path, error) from error
    if len(keys) > KEYS_LIMIT:
        raise _damaged(path)
    return keys


def write_keys(path: Path, keys: Sequence[bytes]) -> None:
    """Replace the file in one step. Raises Unavailable; then it is as it was."""
    try:
        files.replace(path, b"".join(key + b"\n" for key in keys), mode=0o600)
    except OSError as error:
        raise _unusable(path, error) from error


def _damaged(path: Path) -> Unavailable:
    return Unavailable(
        f"the key {path} is damaged", hint="restore it from a backup: nothing else opens the secrets"
    )


def _unusable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(f"the key {path} cannot be used: {error.strerror}")
