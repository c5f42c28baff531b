"""Who may come without a claim: vendors, expected devices, windows, and those who asked."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

from cryptography.hazmat.primitives.hashes import SHA256
from fastapi import Path, Query
from pydantic import Field

from bastide.controller.api.access import Asking
from bastide.controller.api.models import Answer, Asked, Limit, Name, Page, page
from bastide.controller.api.models import Label as DeviceName
from bastide.controller.api.routes import Routes
from bastide.core.error import NotFound
from bastide.core.ids import DeviceClass, SiteName
from bastide.device.credential.admission import (
    MOST_OF_A_WINDOW,
    EnrolmentRequest,
    EnrolmentRequestId,
    Expected,
    Window,
    WindowId,
)
from bastide.device.identity.manufacturer import MAX_ANCHOR_BYTES, Vendor
from bastide.flows.admissions import (
    AdmittingPeople,
    approve,
    close_window,
    decline,
    do_not_expect,
    expect,
    open_window,
    put_vendor,
    remove_vendor,
)
from bastide.governance.access.error import NotPermitted
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission

MAX_LIST_CHARACTERS = 1 << 20
VendorIn = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="The vendor's name.")]
SerialIn = Annotated[
    str, Path(min_length=1, max_length=64, description="The serial number, as the certificate has it.")
]
RequestIn = Annotated[str, Path(pattern=r"^q-[a-z2-7]{20}$", description="The request's id.")]
WindowIn = Annotated[str, Path(pattern=r"^n-[a-z2-7]{20}$", description="The window's id.")]
After = Annotated[str, Query(pattern=r"^(x-[a-z2-7]{20})?$", description="The id that the last page ended with.")]


class AnchorOut(Answer):
    """A vendor's CA. ``sha256`` is the certificate's fingerprint."""

    subject: str
    sha256: str
    not_after: datetime


class VendorOut(Answer):
    """A maker. ``unexpected``: whether its devices that nobody expects may ask for approval."""

    name: str
    unexpected: Literal["ask", "refuse"]
    anchors: Sequence[AnchorOut]
    added_at: datetime
    added_by: str


class VendorPut(Asked):
    """``anchors``: the CA certificates that sign the vendor's devices' certificates, as PEM."""

    anchors: Annotated[str, Field(max_length=MAX_ANCHOR_BYTES)]
    unexpected: Literal["ask", "refuse"] = "ask"


class ExpectedOut(Answer):
    """A device on the purchase list. ``device`` is what it became, null until it comes."""

    id: str
    vendor: str
    serial: str
    device_class: str
    owner: str
    site: str
    name: str
    added_at: datetime
    added_by: str
    device: str | None
    arrived_at: datetime | None


class ListIn(Asked):
    """``list``: CSV with a heading of serial, class, and owner, site, name where they are given."""

    list: Annotated[str, Field(max_length=MAX_LIST_CHARACTERS)]


class TakenOut(Answer):
    """How many devices were put on the list."""

    expected: int


class WindowOut(Answer):
    """While it is open devices of the class may ask, ``most`` of them."""

    id: str
    device_class: str
    owner: str
    site: str
    opened_at: datetime
    opened_by: str
    ends_at: datetime
    most: int


class WindowPost(Asked):
    """Owner and site are the class's unless given."""

    device_class: Name
    owner: Name | None = None
    site: Name | None = None
    span_s: Annotated[int, Field(ge=60, le=7 * 86_400)] = 3600
    most: Annotated[int, Field(ge=1, le=MOST_OF_A_WINDOW)] = 20


class RequestOut(Answer):
    """A device that asked. ``key`` is the SHA-256 of its public key; ``vendor`` and ``serial`` are proven where given."""

    id: str
    key: str
    state: Literal["waiting", "approved", "declined", "enrolled", "ended"]
    device_class: str
    owner: str
    site: str
    source: str
    vendor: str
    serial: str
    asked_for: str
    asked_at: datetime
    ends_at: datetime
    answered_by: str
    answered_at: datetime | None


class ApprovalIn(Asked):
    """What is given takes the place of what the request says; owner and site are the class's otherwise."""

    device_class: Name | None = None
    owner: Name | None = None
    site: Name | None = None
    name: DeviceName | None = None


def admission_routes(with_: AdmittingPeople) -> Routes:
    """The routes."""
    routes = Routes("/enrolment", "enrolment")

    @routes.get("/vendors", needs=Permission.CLAIM_READ)
    async def list_vendors(asking: Asking) -> Page[VendorOut]:
        """The makers whose certificates are believed."""
        return Page(items=[_vendor(one) for one in await with_.reads.vendors()], next="")

    @routes.put("/vendors/{vendor}", needs=Permission.PROFILE_CHANGE)
    async def name_a_vendor(vendor: VendorIn, asked: VendorPut, asking: Asking) -> VendorOut:
        """Names a maker, or changes what was said of it."""
        may_ask = asked.unexpected == "ask"
        return _vendor(await put_vendor(vendor, asked.anchors.encode(), may_ask, asking.actor, with_))

    @routes.delete("/vendors/{vendor}", needs=Permission.PROFILE_CHANGE, status_code=204)
    async def forget_a_vendor(vendor: VendorIn, asking: Asking) -> None:
        """Nobody comes in by this maker's certificates any more. Who came in stays."""
        await remove_vendor(vendor, asking.actor, with_)

    @routes.post("/vendors/{vendor}/expected", needs=Permission.PROFILE_CHANGE, status_code=201)
    async def expect_devices(vendor: VendorIn, asked: ListIn, asking: Asking) -> TakenOut:
        """Puts a purchase list on the list of expected devices, all of it or nothing."""
        return TakenOut(expected=len(await expect(vendor, asked.list.encode(), asking.actor, with_)))

    @routes.delete("/vendors/{vendor}/expected/{serial}", needs=Permission.PROFILE_CHANGE, status_code=204)
    async def do_not_expect_a_device(vendor: VendorIn, serial: SerialIn, asking: Asking) -> None:
        """Takes a device that has not come from the list."""
        await do_not_expect(vendor, serial, asking.actor, with_)

    @routes.get("/expected", needs=Permission.CLAIM_READ)
    async def list_expected(
        asking: Asking, limit: Limit = 100, after: After = "", arrived: bool | None = None
    ) -> Page[ExpectedOut]:
        """Expected devices, those that came with the device that they became."""
        found = await with_.reads.expecting(limit, after, arrived=arrived)
        seen = [ExpectedOut.model_validate(one) for one in found if _inside(one, asking)]
        return Page(items=seen, next=page(found, limit, found[-1].id if found else "").next)

    @routes.get("/windows", needs=Permission.CLAIM_READ)
    async def list_windows(asking: Asking) -> Page[WindowOut]:
        """The windows that are open."""
        found = await with_.reads.windows(with_.now())
        return Page(items=[WindowOut.model_validate(one) for one in found if _inside(one, asking)], next="")

    @routes.post("/windows", needs=Permission.CLAIM_CHANGE, status_code=201)
    async def open_a_window(asked: WindowPost, asking: Asking) -> WindowOut:
        """For a while, devices of a class may ask without any proof; each waits for a person's approval."""
        await _permit(asked.device_class, asked.site, asking)
        span = timedelta(seconds=asked.span_s)
        opened = await open_window(
            asked.device_class, asked.owner or "", asked.site or "", span, asked.most, asking.actor, with_
        )
        return WindowOut.model_validate(opened)

    @routes.delete("/windows/{window}", needs=Permission.CLAIM_CHANGE, status_code=204)
    async def close_a_window(window: WindowIn, asking: Asking) -> None:
        """Ends it now. Who asked may still be answered."""
        open_now = {one.id: one for one in await with_.reads.windows(with_.now())}
        held = open_now.get(WindowId(window))
        if held is None or not _inside(held, asking):
            raise NotFound(f"No window {window} is open. `bastide enrolment windows` shows those that are.")
        await close_window(held.id, asking.actor, with_)

    @routes.get("/requests", needs=Permission.CLAIM_READ)
    async def list_requests(asking: Asking, limit: Limit = 100, waiting: bool = False) -> Page[RequestOut]:
        """Devices that asked, newest first; only those that wait, oldest first, with ``waiting``."""
        found = await with_.reads.requests(limit, waiting=with_.now() if waiting else None)
        return Page(items=[_request(one, with_) for one in found if _inside(one, asking)], next="")

    @routes.post("/requests/{request}/approval", needs=Permission.CLAIM_CHANGE)
    async def approve_a_request(request: RequestIn, asked: ApprovalIn, asking: Asking) -> RequestOut:
        """The device gets its certificate when it asks again, with the same key."""
        held = await _held(request, asking)
        await _permit(asked.device_class or held.device_class, asked.site or held.site, asking)
        approved = await approve(
            held.id,
            asking.actor,
            with_,
            device_class=asked.device_class or "",
            owner=asked.owner or "",
            site=asked.site or "",
            name=asked.name or "",
        )
        return _request(approved, with_)

    @routes.post("/requests/{request}/refusal", needs=Permission.CLAIM_CHANGE)
    async def decline_a_request(request: RequestIn, asking: Asking) -> RequestOut:
        """The device is told so when it asks again."""
        return _request(await decline((await _held(request, asking)).id, asking.actor, with_), with_)

    async def _held(request: str, asking: Principal) -> EnrolmentRequest:
        held = await with_.reads.request_of(EnrolmentRequestId(request))
        if held is None or not _inside(held, asking):
            raise NotFound(f"There is no request {request}. `bastide enrolment requests` shows those that there are.")
        return held

    async def _permit(device_class: str, site: str | None, asking: Principal) -> None:
        """A limited account lets devices in inside its limits only; it also registers no class, which is the fleet's."""
        if asking.scope.boundless:
            return
        entry = await with_.claiming.governing.stores.catalogue.device_class(DeviceClass(device_class))
        if not asking.scope.holds(entry.name, SiteName(site) if site else entry.site):
            raise NotPermitted("That would be for a class or site outside your sites and classes.")

    return routes


def _inside(one: Expected | Window | EnrolmentRequest, asking: Principal) -> bool:
    return asking.scope.holds(one.device_class, one.site)


def _vendor(vendor: Vendor) -> VendorOut:
    return VendorOut(
        name=vendor.name,
        unexpected="ask" if vendor.unexpected else "refuse",
        anchors=[
            AnchorOut(
                subject=one.subject.rfc4514_string(),
                sha256=one.fingerprint(SHA256()).hex(),
                not_after=one.not_valid_after_utc,
            )
            for one in vendor.anchors
        ],
        added_at=vendor.added_at,
        added_by=vendor.added_by,
    )


def _request(request: EnrolmentRequest, with_: AdmittingPeople) -> RequestOut:
    told = {name: getattr(request, name) for name in RequestOut.model_fields if name != "state"}
    return RequestOut.model_validate({**told, "state": request.state_at(with_.now())})
