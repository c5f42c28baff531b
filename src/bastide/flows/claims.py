"""Claims are made, shown and revoked. The secret is given once, to whoever made the claim; only its digest is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bastide.core.device import Device
from bastide.core.error import NotFound, Refused
from bastide.core.ids import ClaimId, OwnerName, ProfileName, SiteName, is_name
from bastide.core.standing import Standing
from bastide.device.credential.claim import Claim, check_ttl, secret_digest
from bastide.flows.describe_kinds import ensure_class
from bastide.flows.govern_device import Governing
from bastide.ports.clock import Clock, Ids
from bastide.ports.platform.credentials import CredentialReads, CredentialUnitsOfWork

DEFAULT_TTL = timedelta(hours=1)
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Claiming:
    """What these flows work with."""

    governing: Governing
    units: CredentialUnitsOfWork
    reads: CredentialReads
    ids: Ids

    @property
    def clock(self) -> Clock:
        return self.governing.clock


@dataclass(frozen=True, slots=True)
class NewClaim:
    """A claim and its secret, which is not shown again. ``new_class``: the class was registered for it."""

    claim: Claim
    secret: str
    profile: ProfileName
    new_class: bool


async def create_claim(
    device_class: str,
    actor: str,
    with_: Claiming,
    *,
    owner: str = "",
    site: str = "",
    name: str = "",
    ttl: timedelta = DEFAULT_TTL,
    again: Device | None = None,
) -> NewClaim:
    """A claim for one device. A class that nobody described is registered with the generic profile; owner and site are the
    class's unless given. With ``again`` it is for that device, whose class, owner, site and name it then has."""
    check_ttl(ttl)
    if again is not None:
        if again.standing is Standing.RETIRED:
            raise Refused(
                f"{again.id} was retired, and a retired device does not come back.", code="claim:device:retired"
            )
        device_class, owner, site, name = again.device_class, again.owner, again.site, again.name
    check_names(owner, site, name)
    entry, new_class = await ensure_class(device_class, actor, with_.governing)
    now = with_.clock.now()
    # 100 random bits each, in the alphabet of ids: safe in a shell, a URL and on a label.
    secret = with_.ids.mint("k").partition("-")[2]
    claim = Claim(
        id=ClaimId(with_.ids.mint("c")),
        digest=secret_digest(secret),
        device_class=entry.name,
        owner=OwnerName(owner) if owner else entry.owner,
        site=SiteName(site) if site else entry.site,
        created_at=now,
        created_by=actor,
        expires_at=now + ttl,
        name=name,
        device=again.id if again else None,
    )
    async with with_.units(actor) as work:
        work.credentials.add_claim(claim)
        work.ledger.record(
            "enrolment:claim:created",
            f"claim:{claim.id}",
            {
                "class": claim.device_class,
                "owner": claim.owner,
                "site": claim.site,
                "expires_at": claim.expires_at.isoformat(),
                "device": claim.device,
            },
        )
    return NewClaim(claim, secret, entry.profile, new_class)


def check_names(owner: str, site: str, name: str = "") -> None:
    """``Refused`` where they cannot name an owner, a site (each may be empty) and a device."""
    for given in (owner, site):
        if given and not is_name(given):
            raise Refused(
                f"{given!r} cannot name an owner or a site: use 1 to 63 characters of a-z 0-9 . _ -", code="claim:name"
            )
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise Refused(f"A device's name has at most {LONGEST_NAME} printable characters.", code="claim:name")


async def list_claims(with_: Claiming, limit: int, after: str = "") -> Sequence[Claim]:
    """Newest first."""
    return await with_.reads.claims(limit, after)


async def revoke_claim(id: ClaimId, actor: str, with_: Claiming) -> Claim:
    """Ends an open claim; ``NotFound`` where there is none of that id, ``Conflict`` where it is not open any more."""
    claim = await with_.reads.claim(id)
    if claim is None:
        raise NotFound(f"There is no claim {id}. `bastide claim list` shows those that there are.")
    async with with_.units(actor) as work:
        work.credentials.revoke_claim(id, with_.clock.now())
        work.ledger.record("enrolment:claim:revoked", f"claim:{id}", {})
    revoked = await with_.reads.claim(id)
    return revoked or claim
