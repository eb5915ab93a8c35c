"""Certificates on disk, for the time when nginx starts without hostd. Keys are readable by root only."""

import re
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hostd import files
from hostd.errors import Invalid

_HOST = re.compile(r"(?!-)[a-z0-9-]+(\.[a-z0-9-]+)*")


def keep(directory: Path, host: str, chain_pem: str, key_pem: str) -> None:
    """Put `host`.crt and `host`.key into `directory` and `host` into its list. Raises Invalid for no host name."""
    if not _HOST.fullmatch(host):
        raise Invalid(f"{host!a} is not a host name")
    files.replace(directory / f"{host}.key", key_pem.encode(), mode=0o600)
    files.replace(directory / f"{host}.crt", chain_pem.encode(), mode=0o600)
    _list(directory)


def prepare(private: Path, base: str) -> None:
    """Make the directory, list what an operator put there, and the pair that nginx wants but nobody is shown."""
    directory = private / "certificates"
    directory.mkdir(mode=0o700, exist_ok=True)
    _list(directory)
    if not (private / "nobody.key").exists():
        chain, key = self_signed(base)
        files.replace(private / "nobody.crt", chain.encode(), mode=0o600)
        files.replace(private / "nobody.key", key.encode(), mode=0o600)


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


def _list(directory: Path) -> None:
    hosts = sorted(path.stem for path in directory.glob("*.crt") if path.with_suffix(".key").exists())
    files.replace(directory / "hosts", "".join(f"{host}\n" for host in hosts).encode(), mode=0o600)
