"""SSH public keys: which ones may open the door to git, and how one line of OpenSSH's format is read."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from hostd.errors import Invalid
from hostd.model.names import shown

RSA_BITS = 3072  # at least; NIST SP 800-57 part 1, 128 bits of strength
LENGTH_LIMIT = 8192  # characters
COMMENT_LIMIT = 64  # characters
TYPES = frozenset(
    "ssh-ed25519 ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 ssh-rsa "
    "sk-ssh-ed25519@openssh.com sk-ecdsa-sha2-nistp256@openssh.com".split()
)
MAKE_ONE = "make one: ssh-keygen -t ed25519; then add the file that ends in .pub"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that will do. `line` is `type base64` without a comment, `fingerprint` as `ssh-keygen -l` shows it."""

    line: str
    comment: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SshKey:
    """A PublicKey that a User has added. `name` is the comment it came with, unless they gave it another."""

    id: int
    user_id: int
    name: str
    fingerprint: str
    type: str
    created_at: datetime
    last_used_at: datetime | None


def parse(text: str) -> PublicKey:
    """The one key in `text`, a line as in a .pub file. Raises Invalid: private, weak, old, or not a key at all."""
    refuse_private(text)
    lines = [line for line in text.splitlines() if line.strip()]
    words = lines[0].split(None, 2) if len(lines) == 1 and len(text) <= LENGTH_LIMIT else []
    if len(words) < 2:
        raise Invalid("this is not one public key: a line as in id_ed25519.pub is wanted", hint=MAKE_ONE)
    if words[0] not in TYPES:
        raise Invalid(f"keys of the type {shown(words[0])} are not taken", hint=MAKE_ONE)
    blob = _checked(words[0], words[1])
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    comment = re.sub(r"[^\x20-\x7e]", "?", words[2].strip())[:COMMENT_LIMIT] if len(words) == 3 else ""
    return PublicKey(f"{words[0]} {words[1]}", comment, f"SHA256:{digest}")


def refuse_private(text: str) -> None:
    """Raises Invalid if there is a private key in `text`; the CLI asks before it sends anything."""
    if "PRIVATE KEY" in text or "PuTTY-User-Key-File" in text:
        raise Invalid(
            "this is a private key: it must never leave your machine",
            hint="add the public one: the file of the same name that ends in .pub",
        )


def _checked(kind: str, encoded: str) -> bytes:
    """The key's bytes (RFC 4253 section 6.6), once a library has made a key of them."""
    try:
        blob = base64.b64decode(encoded, validate=True)
        key = load_ssh_public_key(f"{kind} {encoded}".encode())
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise Invalid(f"this {kind} key is damaged", hint="copy the whole line of the .pub file") from error
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS:
        raise Invalid(
            f"an RSA key of {key.key_size} bits is too weak: at least {RSA_BITS} are wanted", hint=MAKE_ONE
        )
    return blob
