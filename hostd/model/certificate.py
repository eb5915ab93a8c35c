"""Certificate: what hostd keeps for TLS at one host, and the rules that a pair from elsewhere has to keep."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from hostd.errors import Invalid
from hostd.model.domain import wildcard_over

SIZE_LIMIT = 64 * 1024  # bytes of either file
RSA_BITS = range(2048, 4097)  # less is not served by OpenSSL, more makes handshakes a burden
TlsKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=5), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with the ones that vouch for it, its own first, and its key: PEM texts."""

    chain: str
    key: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is kept for `host`: `chain` is "" while there is none. `app_id` None: it is hostd's own.

    `next_try` is when hostd attends to it again; None for one that was uploaded, which is nobody's to renew.
    """

    host: str
    app_id: int | None
    uploaded: bool = False
    chain: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None
    problem: str = ""
    tries: int = 0
    next_try: datetime | None = None


class NotIssued(Exception):
    """An authority gave no certificate: `reason` in words for a person, `wait` if it said when to come back."""

    def __init__(self, reason: str, wait: timedelta = timedelta()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait


def lifetime(chain: str) -> tuple[datetime, datetime]:
    """From when until when the first certificate of `chain` is valid. Raises ValueError."""
    leaf = x509.load_pem_x509_certificates(chain.encode())[0]
    return leaf.not_valid_before_utc, leaf.not_valid_after_utc


def renewal(not_before: datetime, not_after: datetime) -> datetime:
    """When to renew if the authority has no wish: with a third of the lifetime left."""
    return not_before + (not_after - not_before) * 2 / 3


def wait_after(tries: int, chance: float) -> timedelta:
    """How long until a failed try is made again: 5, 10, 20, ... minutes, a day at most, longer by `chance` (0 to 1)
    times a fifth, so that many do not come at once."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * (1 << min(tries, 20))) * (1 + chance / 5)


def check_pair(host: str, pair: Pair, now: datetime) -> None:
    """Return if TLS clients that ask for `host` can be shown `pair`. Raises Invalid with what is wrong."""
    key, chain = _key(pair.key), _chain(pair.chain)
    leaf = chain[0]
    if _public(key.public_key()) != _public(leaf.public_key()):
        if any(_public(other.public_key()) == _public(key.public_key()) for other in chain):
            raise Invalid(
                "the chain is not in order", hint="put the certificate of the host first in the file"
            )
        raise Invalid(
            "the key does not belong to the certificate", hint="upload the pair that belongs together"
        )
    names = _names(leaf)
    if not {host, wildcard_over(host)} & names:
        raise Invalid(f"the certificate is for {', '.join(sorted(names)[:5]) or 'no host'}, not for {host}")
    if leaf.not_valid_after_utc <= now:
        raise Invalid(f"the certificate expired at {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    if leaf.not_valid_before_utc > now:
        raise Invalid(f"the certificate is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    for certificate, issuer in pairwise(chain):
        _check_issued(certificate, issuer)


def _key(pem: str) -> TlsKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
        if isinstance(key, rsa.RSAPrivateKey):
            _check_size(key)
            load_pem_private_key(pem.encode(), password=None)
    except TypeError as error:
        raise Invalid("the key is encrypted", hint="openssl pkey -in KEY -out PLAIN_KEY") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        hint = "that is a certificate: the files are the wrong way round" if "CERTIFICATE-----" in pem else ""
        raise Invalid("the key cannot be read: it has to be a private key as PEM", hint=hint) from error
    if not isinstance(key, TlsKey):
        raise Invalid("a key for TLS is of the kind RSA, EC or Ed25519")
    return key


def _check_size(key: rsa.RSAPrivateKey) -> None:
    """Before the key is validated: to find out whether large numbers are prime takes minutes, and nothing else goes on
    meanwhile. Raises Invalid, ValueError for a modulus that is not of these primes."""
    if key.key_size not in RSA_BITS:
        raise Invalid(f"an RSA key has {RSA_BITS.start} to {RSA_BITS.stop - 1} bits, this one {key.key_size}")
    numbers = key.private_numbers()
    if numbers.p * numbers.q != numbers.public_numbers.n:
        raise ValueError("the primes are not of this modulus")


def _chain(pem: str) -> list[x509.Certificate]:
    try:
        chain = x509.load_pem_x509_certificates(pem.encode())
        for certificate in chain:
            certificate.public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        hint = "that is a key: the files are the wrong way round" if "PRIVATE KEY-----" in pem else ""
        raise Invalid("the certificate cannot be read: it has to be PEM", hint=hint) from error
    return chain


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names(leaf: x509.Certificate) -> set[str]:
    """What clients compare the host with: alternative names only (RFC 9525 section 6.3)."""
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return set()
    return {name.lower() for name in found.get_values_for_type(x509.DNSName)}


def _check_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        name = certificate.subject.rfc4514_string()[:80] or "the first one"
        raise Invalid(
            f"the chain is not in order: what follows {name!a} did not issue it",
            hint="host first, then each one's issuer",
        ) from error
