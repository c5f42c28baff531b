"""Claims: making, listing and revoking the right to enrol one device."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Path, Query
from pydantic import Field, StringConstraints

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.devices import within_scope
from bastide.controller.api.models import Answer, Asked, Limit, Name, Page, page
from bastide.controller.api.models import Label as DeviceName
from bastide.controller.api.routes import Routes
from bastide.core.error import NotFound, Refused
from bastide.core.ids import ClaimId, DeviceClass, SiteName
from bastide.device.credential.claim import Claim
from bastide.flows.claims import DEFAULT_TTL, Claiming, create_claim, list_claims, revoke_claim
from bastide.governance.access.error import NotPermitted
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission

KnownDevice = Annotated[str, StringConstraints(pattern=r"^d-[a-z2-7]{20}$")]
ClaimIn = Annotated[str, Path(pattern=r"^c-[a-z2-7]{20}$", description="The claim's id, which is its user name.")]
After = Annotated[str, Query(pattern=r"^(c-[a-z2-7]{20})?$", description="The id that the last page ended with.")]


class ClaimOut(Answer):
    """A claim. ``state`` is open, used, revoked or expired; ``username`` is its id. The password is not kept."""

    username: str
    device_class: str
    owner: str
    site: str
    name: str
    state: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    used_at: datetime | None
    device: str | None


class NewClaimIn(Asked):
    """Owner and site are the class's unless given; an unknown class is registered with the profile `generic`."""

    device_class: Name | None = Field(default=None, description="The class of a new device.")
    device: KnownDevice | None = Field(
        default=None, description="A known device that enrols again, instead of a class."
    )
    owner: Name | None = None
    site: Name | None = None
    name: DeviceName | None = Field(default=None, description="What people shall call the device.")
    ttl_s: Annotated[int, Field(ge=60, le=90 * 86_400)] = int(DEFAULT_TTL.total_seconds())


class NewClaimOut(ClaimOut):
    """The only answer that ever holds the ``password``. ``new_class``: the class was registered for this claim."""

    password: str
    est_url: str
    profile: str
    new_class: bool


def claims_routes(with_: Claiming, est_url: str) -> Routes:
    """The routes. ``est_url`` is where devices enrol, as it is printed for people."""
    routes = Routes("", "claims")

    @routes.get("/claims", needs=Permission.CLAIM_READ)
    async def list_all_claims(asking: Asking, limit: Limit = 100, after: After = "") -> Page[ClaimOut]:
        """Claims, newest first."""
        found = await list_claims(with_, limit, after)
        seen = [_out(claim, with_) for claim in found if asking.scope.holds(claim.device_class, claim.site)]
        more = page(found, limit, found[-1].id if found else "")
        return Page(items=seen, next=more.next)

    @routes.post("/claims", needs=Permission.CLAIM_CHANGE, status_code=201)
    async def make_claim(asked: NewClaimIn, asking: Asking, deps: Using) -> NewClaimOut:
        """Makes a claim: one device may enrol with it, once, until it expires."""
        if (asked.device_class is None) is (asked.device is None):
            raise Refused("Name the class of a new device, or a known device that enrols again.", code="claim:asked")
        again = await within_scope(asked.device, asking, deps) if asked.device else None
        if again is None and not asking.scope.boundless:
            await _permit(asked, asking)
        made = await create_claim(
            asked.device_class or "",
            asking.actor,
            with_,
            owner=asked.owner or "",
            site=asked.site or "",
            name=asked.name or "",
            ttl=timedelta(seconds=asked.ttl_s),
            again=again,
        )
        return NewClaimOut(
            **_out(made.claim, with_).model_dump(),
            password=made.secret,
            est_url=est_url,
            profile=made.profile,
            new_class=made.new_class,
        )

    @routes.post("/claims/{claim}/revocation", needs=Permission.CLAIM_CHANGE)
    async def revoke_a_claim(claim: ClaimIn, asking: Asking) -> ClaimOut:
        """Ends an open claim."""
        held = await with_.reads.claim(ClaimId(claim))
        if held is None or not asking.scope.holds(held.device_class, held.site):
            raise NotFound(f"There is no claim {claim}. `bastide claim list` shows those that there are.")
        return _out(await revoke_claim(ClaimId(claim), asking.actor, with_), with_)

    async def _permit(asked: NewClaimIn, asking: Principal) -> None:
        """A limited account makes claims inside its limits only; it also registers no class, which is the fleet's."""
        entry = await with_.governing.stores.catalogue.device_class(DeviceClass(asked.device_class or ""))
        if not asking.scope.holds(entry.name, SiteName(asked.site) if asked.site else entry.site):
            raise NotPermitted("The claim would be for a class or site outside your sites and classes.")

    return routes


def _out(claim: Claim, with_: Claiming) -> ClaimOut:
    return ClaimOut(
        username=claim.id,
        device_class=claim.device_class,
        owner=claim.owner,
        site=claim.site,
        name=claim.name,
        state=claim.standing_at(with_.clock.now()),
        created_at=claim.created_at,
        created_by=claim.created_by,
        expires_at=claim.expires_at,
        used_at=claim.used_at,
        device=claim.device,
    )
