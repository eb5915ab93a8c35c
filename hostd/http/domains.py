"""Routes about Domains, and what they take and give."""

from collections.abc import Sequence
from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from hostd.control.domains import DomainDetails, add_domain, check_domain, domains_of, remove_domain
from hostd.http.certificates import CertificateShown
from hostd.http.gate import GATE, PREFIX, Actor, TheApp, TheEnvironment, Works
from hostd.http.models import Taken, Text

router = APIRouter(prefix=PREFIX, tags=["domains"], dependencies=GATE)


class NewDomain(Taken):
    """A host name to claim."""

    domain: Text = Field(min_length=1, max_length=1000, examples=["www.example.com"])


class RecordShown(BaseModel):
    """A DNS record to set."""

    model_config = ConfigDict(from_attributes=True)
    name: str = Field(examples=["_hostd.www.example.com"])
    type: str = Field(examples=["TXT"])
    value: str = Field(examples=["hostd-0f8fad5bd9cb469fa16570867728950e"])


class DomainShown(BaseModel):
    """A Domain. It answers once it is proved; `problem` is what the last look found, `next_try` when the next is."""

    domain: str = Field(examples=["www.xn--bcher-kva.example"])
    readable: str = Field(examples=["www.b\u00fccher.example"])
    environment: str = Field(examples=["production"])
    proved: bool = Field(examples=[False])
    problem: str = Field(examples=["www.xn--bcher-kva.example leads to 192.0.2.7, not to this machine"])
    next_try: datetime | None
    records: Sequence[RecordShown]
    certificate: CertificateShown | None

    @staticmethod
    def of(details: DomainDetails) -> "DomainShown":
        """The Domain as it is shown."""
        domain = details.domain
        return DomainShown(
            domain=domain.host,
            readable=domain.readable,
            environment=details.environment.name,
            proved=domain.proved,
            problem=domain.problem,
            next_try=domain.next_try,
            records=[RecordShown.model_validate(record) for record in details.records],
            certificate=CertificateShown.of(details.certificate) if details.certificate else None,
        )


@router.get("/apps/{app}/domains")
async def list_domains(the_app: TheApp, platform: Works) -> Sequence[DomainShown]:
    """The Domains of an App, by name, of production and of Previews."""
    return [DomainShown.of(details) for details in await domains_of(platform, the_app)]


@router.post("/apps/{app}/domains", status_code=201)
async def add(
    actor: Actor, the_app: TheApp, environment: TheEnvironment, platform: Works, wanted: NewDomain
) -> DomainShown:
    """Claim a host name, and look at once whether it is proved."""
    return DomainShown.of(await add_domain(platform, the_app, actor, environment, wanted.domain))


@router.post("/apps/{app}/domains/{domain}/check")
async def check(actor: Actor, the_app: TheApp, platform: Works, domain: str) -> DomainShown:
    """Look now whether the Domain is proved, and still leads here."""
    return DomainShown.of(await check_domain(platform, the_app, actor, domain))


@router.delete("/apps/{app}/domains/{domain}", status_code=204)
async def remove(actor: Actor, the_app: TheApp, platform: Works, domain: str) -> None:
    """Forget the Domain: from now on it answers as unknown."""
    await remove_domain(platform, the_app, actor, domain)
