"""The fleet as a whole: the overview, device classes and profiles, and whether the controller answers."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Path
from pydantic import Field

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.deps import Deps
from bastide.controller.api.models import Answer, Asked, FindingOut, Name, Page, RecordOut, Seconds
from bastide.controller.api.policy import Document
from bastide.controller.api.records import shown, visible
from bastide.controller.api.routes import PUBLIC, Routes
from bastide.core.error import NotFound
from bastide.core.evidence import SubjectKind
from bastide.core.finding import Finding
from bastide.core.ids import DeviceId, OwnerName, ProfileName, SiteName
from bastide.core.profile import Direction, FieldType
from bastide.core.standing import Standing
from bastide.flows.describe_kinds import MAIN_SITE, UNASSIGNED, put_profile
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission

routes = Routes("", "fleet")
health = Routes("", "health")

ProfileIn = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]


class HealthOut(Answer):
    """That the controller serves."""

    status: str


class OverviewOut(Answer):
    """What a watch keeper needs first. ``samples_last_hour`` is null for who is limited to some sites or classes."""

    at: datetime
    devices: int
    by_standing: dict[Standing, int]
    findings: list[FindingOut]
    changes: list[RecordOut]
    samples_last_hour: int | None


class ClassOut(Answer):
    """A device class: its profile, who answers for it, where its devices stand unless a claim says otherwise."""

    name: str
    profile: str
    owner: str
    site: str
    impact: float
    registered_at: datetime


class FieldOut(Answer):
    name: str
    type: FieldType
    purpose: str
    required: bool
    minimum: float | None
    maximum: float | None
    max_length: int


class ChannelOut(Answer):
    topic: str
    direction: Direction
    purpose: str
    fields: list[FieldOut]
    essential: bool


class ProfileOut(Answer):
    """What a kind of device is expected to do."""

    name: str
    device_class: str
    title: str
    channels: list[ChannelOut]
    rate_per_second: float
    burst: int
    max_payload_bytes: int
    impact: float
    expected_silence_s: Seconds = Field(validation_alias="expected_silence")


class ProfileDocumentIn(Asked):
    document: Document
    owner: Name = Field(default=str(UNASSIGNED), description="Who answers for the class, where the class is new.")
    site: Name = Field(default=str(MAIN_SITE), description="Where its devices stand, where the class is new.")


@health.get("/healthz", needs=PUBLIC)
async def healthz() -> HealthOut:
    """That the controller serves. Says nothing else to whoever asks."""
    return HealthOut(status="ok")


@routes.get("/overview", needs=Permission.FLEET_READ)
async def overview(asking: Asking, deps: Using) -> OverviewOut:
    """The fleet's standing, open findings, and what changed last."""
    stores, now = deps.governing.stores, deps.clock.now()
    counts = await stores.devices.count_by_standing(asking.scope)
    findings = await stores.findings.open(None, 200)
    seen = [finding for finding in findings if await _sees(finding, asking, deps)]
    changes = await visible(await deps.ledger.recent(100, "decision:standing:changed"), asking, deps)
    samples = await deps.samples.count(None, now - timedelta(hours=1)) if asking.scope.boundless else None
    return OverviewOut(
        at=now,
        devices=sum(counts.values()),
        by_standing={standing: counts.get(standing, 0) for standing in Standing},
        findings=[FindingOut.model_validate(finding) for finding in seen[:20]],
        changes=[shown(record, asking) for record in changes[:20]],
        samples_last_hour=samples,
    )


@routes.get("/classes", needs=Permission.PROFILE_READ)
async def list_classes(asking: Asking, deps: Using) -> Page[ClassOut]:
    """The device classes that whoever asks may see."""
    found = await deps.governing.stores.catalogue.classes()
    seen = [one for one in found if not asking.scope.classes or one.name in asking.scope.classes]
    return Page(items=[ClassOut.model_validate(one) for one in seen])


@routes.get("/profiles", needs=Permission.PROFILE_READ)
async def list_profiles(deps: Using) -> Page[ProfileOut]:
    """All profiles."""
    return Page(items=[ProfileOut.model_validate(one) for one in await deps.governing.stores.catalogue.profiles()])


@routes.get("/profiles/{profile}", needs=Permission.PROFILE_READ)
async def show_profile(profile: ProfileIn, deps: Using) -> ProfileOut:
    """One profile."""
    return ProfileOut.model_validate(await deps.governing.stores.catalogue.profile(ProfileName(profile)))


@routes.post("/profiles", needs=Permission.PROFILE_CHANGE, status_code=201)
async def store_profile(asked: ProfileDocumentIn, asking: Asking, deps: Using) -> ProfileOut:
    """Stores a profile document (and its class, where that is new); the loop decides again for its devices."""
    stored = await put_profile(
        asked.document, asking.actor, deps.governing, OwnerName(asked.owner), SiteName(asked.site)
    )
    return ProfileOut.model_validate(stored)


async def _sees(finding: Finding, asking: Principal, deps: Deps) -> bool:
    if asking.scope.boundless:
        return True
    if finding.subject.kind is not SubjectKind.DEVICE:
        return False
    try:
        return asking.sees(await deps.governing.stores.devices.get(DeviceId(finding.subject.id)))
    except NotFound:
        return False
