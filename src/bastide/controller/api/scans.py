"""Scans: what ``bastide scan CAPTURE --submit`` saw comes into the inventory."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.models import Answer, Moment, Name, NoControls
from bastide.controller.api.routes import Routes
from bastide.core.finding import Severity
from bastide.core.ids import SiteName
from bastide.flows.describe_kinds import MAIN_SITE
from bastide.flows.take_scan import take_scan
from bastide.governance.access.error import NotPermitted
from bastide.governance.access.roles import Permission
from bastide.operations.inventory.sighting import SeenFinding, Sighting

routes = Routes("", "scans")

MAX_DEVICES = 1000
MAX_SCAN_BYTES = 4 * 1024 * 1024

Word = Annotated[str, StringConstraints(max_length=256), NoControls]
Words = Annotated[list[Word], Field(max_length=64)]


class _Reported(BaseModel):
    """What a scan reports. It may say more than is taken in; that is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ScanFindingIn(_Reported):
    code: Annotated[str, Field(pattern=r"^traffic:[a-z0-9][a-z0-9.-]{0,80}$")]
    severity: Severity
    confidence: Annotated[float, Field(ge=0, le=1, strict=True)]
    title: Annotated[str, StringConstraints(max_length=300), NoControls]
    advice: Annotated[str, StringConstraints(max_length=1000), NoControls] = ""


class ScanServiceIn(_Reported):
    """A port on which the device answered."""

    port: Annotated[int, Field(ge=0, le=65535, strict=True)]
    transport: Annotated[str, Field(pattern=r"^[a-z0-9]{1,8}$")]
    protocol: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]


class ScanTypeIn(_Reported):
    """What a fingerprint base takes the device for; null for unknown."""

    value: Word | None = None
    confidence: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.0
    because: Annotated[list[Word], Field(max_length=16)] = Field(default_factory=list)


class ScanSaysIn(_Reported):
    """What the device calls itself."""

    model: Words = Field(default_factory=list)
    firmware: Words = Field(default_factory=list)
    mud_url: Words = Field(default_factory=list, alias="mud-url")


class ScanDeviceIn(_Reported):
    """One device, as `bastide scan --json` prints it."""

    mac: Annotated[str, Field(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")] | None = None
    first_seen: Moment
    last_seen: Moment
    randomised_mac: Annotated[bool, Field(strict=True)] = False
    vendor: Word | None = None
    ips: Words = Field(default_factory=list)
    hostnames: Words = Field(default_factory=list)
    protocols: Words = Field(default_factory=list)
    services: Annotated[list[ScanServiceIn], Field(max_length=64)] = Field(default_factory=list)
    type: ScanTypeIn = Field(default_factory=lambda: ScanTypeIn())
    says: ScanSaysIn = Field(default_factory=lambda: ScanSaysIn())
    findings: Annotated[list[ScanFindingIn], Field(max_length=64)] = Field(default_factory=list)


class ScanIn(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")] = Field(
        description="Names the capture; the same name replaces what it said before."
    )
    site: Name = Field(default=str(MAIN_SITE), description="Where it was captured.")
    devices: Annotated[list[ScanDeviceIn], Field(max_length=MAX_DEVICES)]


class ScanOut(Answer):
    """What came of it: ``passed_over`` devices have no address by which they could be known again."""

    new: list[str]
    known: list[str]
    changed: list[str]
    findings: int
    passed_over: int
    at: datetime


@routes.post("/scans", needs=Permission.SCAN_SUBMIT, status_code=201, max_body_size=MAX_SCAN_BYTES)
async def submit_scan(asked: ScanIn, asking: Asking, deps: Using) -> ScanOut:
    """Takes a scan into the inventory. What was only seen is `unknown` until it proves its identity."""
    if asking.scope.classes or (asking.scope.sites and asked.site not in asking.scope.sites):
        raise NotPermitted("The scan's devices would stand outside your sites and classes; name a site of yours.")
    seen = [_seen(device) for device in asked.devices]
    taken = await take_scan(asked.source, SiteName(asked.site), seen, asking.actor, deps.governing)
    return ScanOut(
        new=list(taken.new),
        known=list(taken.known),
        changed=list(taken.changed),
        findings=taken.findings,
        passed_over=taken.passed_over,
        at=deps.clock.now(),
    )


def _seen(device: ScanDeviceIn) -> Sighting:
    return Sighting(
        mac=device.mac or "",
        first_seen=device.first_seen,
        last_seen=device.last_seen,
        randomised=device.randomised_mac,
        vendor=device.vendor or "",
        addresses=tuple(device.ips),
        host_names=tuple(device.hostnames),
        protocols=tuple(device.protocols),
        services=tuple(f"{one.transport}/{one.port} {one.protocol}" for one in device.services),
        models=tuple(device.says.model[:4]),
        firmware=tuple(device.says.firmware[:4]),
        mud_urls=tuple(device.says.mud_url[:4]),
        type=device.type.value or "",
        type_confidence=device.type.confidence,
        type_because=tuple(device.type.because),
        findings=tuple(
            SeenFinding(one.code, one.severity, one.confidence, one.title, one.advice) for one in device.findings
        ),
    )
