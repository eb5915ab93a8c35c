"""Certificates from an authority that speaks ACME (RFC 8555), through certbot's library.

That library blocks, so each of its calls has a thread, and what waits for the authority waits here. It is imported
when the first certificate is asked for. A host is proved over HTTP, a wildcard by a DNS record that the operator's
program sets.
"""

import asyncio
import importlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hostd import files
from hostd.command import PATH, Command, run
from hostd.errors import HostdError
from hostd.model.certificate import NotIssued, Pair

if TYPE_CHECKING:
    from acme import client, messages

    Client = client.ClientV2
    Order = messages.OrderResource
    Authorization = messages.AuthorizationResource

P = ParamSpec("P")
T = TypeVar("T")
Answer = Callable[[str, str | None], Awaitable[None]]
REQUEST_LIMIT = 15  # seconds for one request to the authority
ISSUE_LIMIT = 180.0  # seconds for all of an order, the hook included
HOOK_LIMIT = 120.0  # seconds
_log = logging.getLogger(__name__)
NONCE_TRIES = 5
REASON_LIMIT = 300  # characters


class AcmeAuthority:
    """Satisfies `control.platform.Authority`. Keeps its account, key and all, in `place`.

    `directory` is the authority's URL, `email` may be "". `roots` is a file with the certificates that vouch for it,
    None: those of this machine. `hook` is a program that is called with `present` or `cleanup`, a name and the TXT
    value to be there, and returns when it is done; None: no wildcards.
    """

    def __init__(
        self,
        place: Path,
        directory: str,
        email: str = "",
        roots: Path | None = None,
        hook: Path | None = None,
    ) -> None:
        self._place = place
        self._directory = directory
        self._email = email
        self._roots = roots
        self._hook_program = hook
        self._registering = asyncio.Lock()

    @property
    def wildcards(self) -> bool:
        """Whether there is a program that sets DNS records."""
        return self._hook_program is not None

    async def issue(self, host: str, answer: Answer) -> Pair:
        """A certificate for `host`, proved through `answer` or, for a wildcard, the hook. Raises NotIssued."""
        key = ec.generate_private_key(ec.SECP256R1())
        with_waits: list[timedelta] = []
        try:
            async with asyncio.timeout(ISSUE_LIMIT):
                client = await self._client(with_waits)
                order = await _call(client.new_order, _request(key, host))
                for authorization in order.authorizations:
                    await self._prove(client, authorization, answer)
                chain = await _finalized(client, order)
        except (NotIssued, asyncio.CancelledError):
            raise
        except Exception as error:
            raise NotIssued(self._reason(error), max(with_waits, default=timedelta())) from error
        return Pair(chain, _pem(key).decode())

    async def renewal(self, chain: str) -> datetime | None:
        """When the authority would like to renew it; None if it does not say, or cannot be asked."""
        try:
            async with asyncio.timeout(ISSUE_LIMIT):
                client = await self._client([])
                when, _ = await _call(client.renewal_time, chain.encode())
        except Exception:  # noqa: BLE001 (whatever it is that an authority answers, renewing has a usual time)
            _log.debug("the authority did not say when to renew", exc_info=True)
            return None
        return when and when.astimezone(UTC)

    async def _prove(self, client: "Client", authorization: "Authorization", answer: Answer) -> None:
        """Answer one of the challenges, and wait until the authority has looked."""
        from acme import challenges, messages

        if authorization.body.status == messages.STATUS_VALID:
            return
        wanted = challenges.DNS01 if authorization.body.wildcard else challenges.HTTP01
        found = [each for each in authorization.body.challenges if isinstance(each.chall, wanted)]
        if not found:
            raise NotIssued(f"the authority offers no {wanted.typ} challenge")
        challenge = found[0]
        response, text = challenge.chall.response_and_validation(client.net.key)
        if authorization.body.wildcard:
            name = challenge.chall.validation_domain_name(authorization.body.identifier.value)
            proof = self._recorded(name, text)
        else:
            proof = _answered(answer, challenge.chall.path, text)
        async with proof:
            await _call(client.answer_challenge, challenge, response)
            while authorization.body.status == messages.STATUS_PENDING:
                await asyncio.sleep(1)
                authorization, _ = await _call(client.poll, authorization)

    @asynccontextmanager
    async def _recorded(self, name: str, text: str) -> AsyncIterator[None]:
        await self._hook("present", name, text)
        try:
            yield
        finally:
            await self._hook("cleanup", name, text)

    async def _hook(self, verb: str, name: str, text: str) -> None:
        if self._hook_program is None:
            raise NotIssued("a wildcard needs a program that sets DNS records: HOSTD_ACME_DNS_HOOK")
        program = Command((str(self._hook_program), verb, name, text), env={"PATH": PATH, "LANG": "C.UTF-8"})
        try:
            async with asyncio.timeout(HOOK_LIMIT):
                result = await run(program)
        except TimeoutError as error:
            raise NotIssued(f"the DNS hook took longer than {HOOK_LIMIT:g} s to {verb} {name}") from error
        except HostdError as error:
            raise NotIssued(f"the DNS hook cannot be run: {error.message}") from error
        if result.status != 0:
            last = (result.output.strip().splitlines() or ["it said nothing"])[-1]
            raise NotIssued(
                f"the DNS hook ended with {result.status} at {verb} {name}: {last[:REASON_LIMIT]}"
            )

    async def _client(self, waits: list[timedelta]) -> "Client":
        """A client of its own for each order: they share the account, but no connection and no nonce."""
        await asyncio.to_thread(importlib.import_module, "acme.client")  # half a second that nobody waits for
        async with self._registering:
            return await _call(self._connect, waits)

    def _connect(self, waits: list[timedelta]) -> "Client":
        from acme import client, messages
        from josepy.jwa import ES256
        from josepy.jwk import JWKEC

        key = JWKEC(key=self._account_key())
        network: Any = client.ClientNetwork(key, alg=ES256, user_agent="hostd", timeout=REQUEST_LIMIT)
        if self._roots:
            network.verify_ssl = str(self._roots)
        network.session.hooks["response"].append(lambda response, **_: _note_wait(response, waits))
        directory = client.ClientV2.get_directory(self._directory, network)
        made = client.ClientV2(directory, network)
        network.account = messages.RegistrationResource(uri=self._account(made), body=messages.Registration())
        return made

    def _account_key(self) -> ec.EllipticCurvePrivateKey:
        self._place.mkdir(mode=0o700, exist_ok=True)
        path = self._place / "account.key"
        if not path.exists():
            files.replace(path, _pem(ec.generate_private_key(ec.SECP256R1())), mode=0o600)
        key = load_pem_private_key(path.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    def _account(self, made: "Client") -> str:
        """The account's URL, which is asked for once for each directory and key."""
        from acme import errors, messages

        path = self._place / "account.json"
        known: dict[str, str] = json.loads(path.read_bytes()) if path.exists() else {}
        if known.get("directory") == self._directory:
            return known["account"]
        wanted = messages.NewRegistration.from_data(email=self._email or None, terms_of_service_agreed=True)
        try:
            account = str(made.new_account(wanted).uri)
        except errors.ConflictError as there:
            account = there.location
        known = {"directory": self._directory, "account": account}
        files.replace(path, json.dumps(known).encode(), mode=0o600)
        return account

    def _reason(self, error: Exception) -> str:
        """In words; an account that the authority does not know is forgotten, so that the next try makes one."""
        from acme import errors, messages
        from requests import RequestException

        match error:
            case messages.Error():
                if error.code == "accountDoesNotExist":
                    (self._place / "account.json").unlink(missing_ok=True)
                reason = f"the authority refused: {error.detail or error.description or error.typ}"
            case errors.ValidationError():
                reason = "; ".join(_found_wrong(error)) or "the authority could not check the host"
            case errors.IssuanceError():
                reason = f"the authority refused: {error.error.detail}"
            case RequestException():
                reason = f"the authority cannot be reached: {type(error).__name__} at {self._directory}"
            case TimeoutError() | errors.TimeoutError():
                reason = "the authority took too long"
            case _:
                reason = f"the authority's answer makes no sense: {type(error).__name__} {error}"
        return " ".join(reason.split())[:REASON_LIMIT]


@asynccontextmanager
async def _answered(answer: Answer, path: str, text: str) -> AsyncIterator[None]:
    await answer(path, text)
    try:
        yield
    finally:
        await answer(path, None)


async def _finalized(client: "Client", order: "Order") -> str:
    """The chain, once the authority has made it."""
    from acme import errors

    checked = await _call(client.poll_authorizations, order, _soon())
    begun = await _call(client.begin_finalization, checked)
    while True:
        try:
            done = await _call(client.poll_finalization, begun, _soon())
        except errors.TimeoutError:
            continue
        return str(done.fullchain_pem)


async def _call(function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """In a thread; made again if the authority wanted another nonce (RFC 8555 section 6.5), as it may at any time."""
    from acme import messages

    for _ in range(NONCE_TRIES):
        try:
            return await asyncio.to_thread(function, *args, **named)
        except messages.Error as error:
            if error.code != "badNonce":
                raise
            refused = error
    raise refused


def _soon() -> datetime:
    """A deadline as the library wants it; ours is around it all."""
    return datetime.now() + timedelta(seconds=5)  # noqa: DTZ005, TID251


def _request(key: ec.EllipticCurvePrivateKey, host: str) -> bytes:
    names = x509.SubjectAlternativeName([x509.DNSName(host)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.add_extension(names, critical=False).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _note_wait(response: Any, waits: list[timedelta]) -> None:
    """A refusal may say when to come back (RFC 8555 section 6.6); dates are rare and left to our own waiting."""
    seconds = response.headers.get("Retry-After", "")
    if response.status_code in (429, 503) and seconds.isascii() and seconds.isdigit():
        waits.append(timedelta(seconds=min(int(seconds), 7 * 24 * 3600)))


def _found_wrong(error: Any) -> list[str]:
    return [
        f"the authority could not check {authorization.body.identifier.value}: {challenge.error.detail}"
        for authorization in error.failed_authzrs
        for challenge in authorization.body.challenges
        if challenge.error is not None
    ]
