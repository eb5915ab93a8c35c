"""Certificates on disk, for the time when nginx starts without hostd. Keys are readable by root only."""

import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hostd import files
from hostd.errors import Invalid

_HOST = re.compile(r"(\*\.)?(?!-)[a-z0-9-]+(\.[a-z0-9-]+)*")


class Certificates:
    """Owns the pairs HOST.crt and HOST.key in `private`/certificates: hostd's, and those an operator put there.

    A pair is shown to who asks for its host and to nobody else, whatever other names are in it. `*.ZONE` stands for
    the names one label below ZONE, and so does what an operator called `base`.
    """

    def __init__(self, private: Path, base: str) -> None:
        self._private = private
        self._directory = private / "certificates"
        self._base = base
        self._changing = threading.Lock()  # several threads may bring one at once

    def prepare(self) -> None:
        """Make the directory, list what is there, and the pair that nginx wants but nobody is shown."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._list()
        if not (self._private / "nobody.key").exists():
            chain, key = self_signed(self._base)
            files.replace(self._private / "nobody.crt", chain.encode(), mode=0o600)
            files.replace(self._private / "nobody.key", key.encode(), mode=0o600)

    def keep(self, host: str, chain: str, key: str) -> None:
        """Put the pair for `host` there. Raises Invalid for no host name, OSError."""
        if not _HOST.fullmatch(host):
            raise Invalid(f"{host!a} is not a host name")
        with self._changing:
            files.replace(self._directory / f"{host}.key", key.encode(), mode=0o600)
            files.replace(self._directory / f"{host}.crt", chain.encode(), mode=0o600)
            self._list()

    def forget(self, host: str) -> None:
        """Remove the pair for `host`; nothing if it is not there."""
        with self._changing:
            for suffix in ("crt", "key"):
                (self._directory / f"{host}.{suffix}").unlink(missing_ok=True)
            self._list()

    def hosts(self) -> Sequence[str]:
        """Those that have a pair, `*.ZONE` among them."""
        return [line.split()[0] for line in (self._directory / "hosts").read_text().splitlines()]

    def has(self, host: str) -> bool:
        """Whether `host` has a pair, of its own or as a name one label below a zone's."""
        zone = f"*.{host.partition('.')[2]}"
        return any(each in (host, zone) for each in self.hosts())

    def _list(self) -> None:
        """Write down which pair is whose: a line for each host, with the name of the files behind it."""
        stems = sorted(
            path.stem for path in self._directory.glob("*.crt") if path.with_suffix(".key").exists()
        )
        lines = [f"{stem} {stem}\n" for stem in stems]
        if self._base in stems and f"*.{self._base}" not in stems:
            lines.append(f"*.{self._base} {self._base}\n")
        files.replace(self._directory / "hosts", "".join(lines).encode(), mode=0o600)


def self_signed(*names: str) -> tuple[str, str]:
    """A certificate for `names` and its key, as PEM, good until 2050."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2050, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )
