"""Routes about Certificates and TLS, and what they take and give. No key ever goes out."""

from collections.abc import Sequence
from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from hostd.control.certificates import certificates_of, remove_certificate, upload_certificate
from hostd.control.tls import HSTS_LONGEST, change_tls, tls_of
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, Works
from hostd.http.models import Taken, Text
from hostd.model.certificate import SIZE_LIMIT, Certificate, Pair

router = APIRouter(prefix=PREFIX, tags=["certificates"], dependencies=GATE)


class NewCertificate(Taken):
    """A certificate with its chain, its own first, and its key: PEM texts."""

    chain: Text = Field(max_length=SIZE_LIMIT, examples=["-----BEGIN CERTIFICATE-----\n..."])
    key: Text = Field(max_length=SIZE_LIMIT, examples=["-----BEGIN PRIVATE KEY-----\n..."])


class CertificateShown(BaseModel):
    """What there is for one host. `not_after` is null while there is none; `problem` is why, or why it was not
    renewed."""

    host: str = Field(examples=["www.example.com"])
    uploaded: bool = Field(examples=[False])
    not_before: datetime | None
    not_after: datetime | None
    problem: str = Field(examples=[""])
    next_try: datetime | None

    @staticmethod
    def of(certificate: Certificate) -> "CertificateShown":
        """The Certificate as it is shown."""
        return CertificateShown(
            host=certificate.host,
            uploaded=certificate.uploaded,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            problem=certificate.problem,
            next_try=certificate.next_try,
        )


class TlsChanges(Taken):
    """What changes for all hosts of an App; what is not there stays. HSTS in seconds, 0 is off."""

    redirect: StrictBool | None = Field(None, examples=[True])
    hsts: StrictInt | None = Field(None, ge=0, le=HSTS_LONGEST, examples=[31536000])


class TlsShown(BaseModel):
    """What holds for all hosts of an App that have a certificate."""

    model_config = ConfigDict(from_attributes=True)
    redirect: bool = Field(examples=[True])
    hsts: int = Field(examples=[0])


@router.get("/apps/{app}/certificates")
async def list_certificates(the_app: TheApp, platform: Works) -> Sequence[CertificateShown]:
    """The Certificates of an App, by host."""
    return [CertificateShown.of(each) for each in await certificates_of(platform, the_app)]


@router.put("/apps/{app}/certificates/{host}")
async def upload(
    actor: Actor, the_app: TheApp, platform: Works, host: str, wanted: NewCertificate
) -> CertificateShown:
    """Show this certificate for a Domain of the App's, from the next handshake on."""
    pair = Pair(wanted.chain, wanted.key)
    return CertificateShown.of(await upload_certificate(platform, the_app, actor, host, pair))


@router.delete("/apps/{app}/certificates/{host}", status_code=204)
async def remove(actor: Actor, the_app: TheApp, platform: Works, host: str) -> None:
    """Forget the certificate; one that can be fetched is fetched anew."""
    await remove_certificate(platform, the_app, actor, host)


@router.get("/apps/{app}/tls")
async def get_tls(the_app: TheApp, platform: Works) -> TlsShown:
    """Redirects to HTTPS, and HSTS."""
    return TlsShown.model_validate(await tls_of(platform, the_app))


@router.patch("/apps/{app}/tls")
async def patch_tls(actor: Actor, the_app: TheApp, platform: Works, changes: TlsChanges) -> TlsShown:
    """Change redirects and HSTS, at once."""
    changed = await change_tls(platform, the_app, actor, redirect=changes.redirect, hsts=changes.hsts)
    return TlsShown.model_validate(changed)
