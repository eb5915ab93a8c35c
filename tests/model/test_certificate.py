import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from hostd.errors import Invalid
from hostd.model.certificate import Pair, check_pair, renewal, wait_after

NOW = datetime(2026, 11, 25, tzinfo=UTC)
WWW = "www.example.com"
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def key_pem(key: Key, password: bytes | None = None) -> str:
    how = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()


def made(
    key: Key,
    issuer_key: Key,
    *hosts: str,
    name: str = "leaf",
    issuer: str = "ca",
    days: int = 90,
    now: datetime = NOW,
) -> str:
    """A certificate as PEM, valid for `days` from `now`; if that is no time to live, it began a hundred days ago."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now if days > 0 else now - timedelta(days=100))
        .not_valid_after(now + timedelta(days=days))
    )
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


CA, LEAF, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
ROOT = made(CA, CA, name="ca")
GOOD = made(LEAF, CA, WWW)


@pytest.mark.parametrize(
    "pair",
    [
        Pair(GOOD, key_pem(LEAF)),
        Pair(GOOD + ROOT, key_pem(LEAF)),
        Pair(made(LEAF, CA, "*.example.com", "example.org"), key_pem(LEAF)),
        Pair(made(LEAF, CA, "WWW.EXAMPLE.COM"), key_pem(LEAF)),
        Pair(made(LEAF, LEAF, WWW, name="ca"), key_pem(LEAF)),
    ],
)
def test_a_pair_that_belongs_together_and_to_the_host_is_taken(pair: Pair) -> None:
    check_pair(WWW, pair, NOW)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (Pair(GOOD, key_pem(OTHER)), "the key does not belong to the certificate"),
        (Pair(ROOT + GOOD, key_pem(LEAF)), "the chain is not in order"),
        (Pair(GOOD + made(OTHER, OTHER, name="ca"), key_pem(LEAF)), "the chain is not in order"),
        (Pair(GOOD + made(OTHER, OTHER, name="b"), key_pem(LEAF)), "the chain is not in order"),
        (Pair(made(LEAF, CA, "example.com"), key_pem(LEAF)), "for example.com, not for www.example.com"),
        (Pair(made(LEAF, CA, "*.www.example.com", "*.com"), key_pem(LEAF)), "not for www.example.com"),
        (Pair(made(LEAF, CA), key_pem(LEAF)), "the certificate is for no host"),
        (Pair(made(LEAF, CA, WWW, days=-1), key_pem(LEAF)), "expired at 2026-11-24 00:00 UTC"),
        (Pair(GOOD, key_pem(LEAF, b"secret")), "the key is encrypted"),
        (Pair(GOOD, "nonsense"), "the key cannot be read"),
        (Pair(GOOD, GOOD), "the key cannot be read"),
        (Pair("nonsense", key_pem(LEAF)), "the certificate cannot be read"),
        (Pair("", key_pem(LEAF)), "the certificate cannot be read"),
        (Pair(key_pem(LEAF), key_pem(LEAF)), "the certificate cannot be read"),
        (Pair(GOOD[:200], key_pem(LEAF)), "the certificate cannot be read"),
    ],
)
def test_another_is_refused_with_the_reason(pair: Pair, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        check_pair(WWW, pair, NOW)


def test_one_that_is_not_valid_yet_is_refused() -> None:
    with pytest.raises(Invalid, match="not valid before 2026-11-25 00:00 UTC"):
        check_pair(WWW, Pair(GOOD, key_pem(LEAF)), NOW - timedelta(days=2))


def test_an_rsa_key_has_to_be_long_enough() -> None:
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505
    with pytest.raises(Invalid, match="2048 to 4096 bits, this one 1024"):
        check_pair(WWW, Pair(made(weak, CA, WWW), key_pem(weak)), NOW)
    strong = rsa.generate_private_key(65537, 2048)
    check_pair(WWW, Pair(made(strong, CA, WWW), key_pem(strong)), NOW)


def test_a_key_that_cannot_sign_for_tls_is_refused() -> None:
    pem = x25519.X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Invalid, match="RSA, EC or Ed25519"):
        check_pair(WWW, Pair(GOOD, pem.decode()), NOW)


def test_a_wildcards_certificate_names_the_wildcard() -> None:
    check_pair("*.example.com", Pair(made(LEAF, CA, "*.example.com"), key_pem(LEAF)), NOW)
    with pytest.raises(Invalid, match="not for"):
        check_pair("*.example.com", Pair(GOOD, key_pem(LEAF)), NOW)


def test_it_is_renewed_with_a_third_of_its_life_left() -> None:
    assert renewal(NOW, NOW + timedelta(days=90)) == NOW + timedelta(days=60)


def test_failed_tries_come_later_and_later_but_every_day() -> None:
    assert [wait_after(tries, 0) for tries in range(3)] == [timedelta(minutes=m) for m in (5, 10, 20)]
    assert wait_after(100, 0) == timedelta(days=1)
    assert wait_after(0, 1) == timedelta(minutes=6)


def test_a_key_that_takes_long_to_check_is_refused_at_once() -> None:
    p, q = (1 << 9689) - 1, (1 << 4423) - 1  # Mersenne primes: nobody has to search for them
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    key = key_pem(numbers.private_key(unsafe_skip_rsa_key_validation=True))
    began = time.process_time()
    with pytest.raises(Invalid, match="an RSA key has 2048 to 4096 bits, this one 14112"):
        check_pair(WWW, Pair(GOOD, key), NOW)
    assert time.process_time() - began < 0.5
