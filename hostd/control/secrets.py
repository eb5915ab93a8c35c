"""Secrets at rest: ConfigVars are encrypted with a key that lies beside the database, never in it."""

import json
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from hostd import files
from hostd.errors import Unavailable


class Secrets:
    """Encrypts and decrypts with one key (Fernet: AES-128-CBC and HMAC-SHA256, github.com/fernet/spec)."""

    def __init__(self, key: bytes) -> None:
        """`key` is 32 bytes in URL-safe base64. Raises ValueError for anything else."""
        self._fernet = Fernet(key)

    @staticmethod
    def open(path: Path) -> "Secrets":
        """With the key in the file at `path`, mode 0600; the first time, make one.

        Raises Unavailable for a key that others can read, that is damaged, or that cannot be stored.
        """
        try:
            if not path.exists():
                files.replace(path, Fernet.generate_key() + b"\n", mode=0o600)
            if path.stat().st_mode & 0o077:
                raise Unavailable(f"the key {path} can be read by others", hint=f"chmod 600 {path}")
            return Secrets(path.read_bytes().strip())
        except ValueError as error:
            raise Unavailable(
                f"the key {path} is damaged", hint="restore it from a backup: nothing else opens the secrets"
            ) from error
        except OSError as error:
            raise Unavailable(f"the key {path} cannot be used: {error.strerror}") from error

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

    def encrypt_mapping(self, config: Mapping[str, str]) -> bytes:
        """A whole config as one secret."""
        return self.encrypt(json.dumps(dict(config), sort_keys=True).encode())

    def decrypt_mapping(self, encrypted: bytes) -> Mapping[str, str]:
        """What `encrypt_mapping` was given. Raises as `decrypt` does."""
        config: Mapping[str, str] = json.loads(self.decrypt(encrypted))
        return config
