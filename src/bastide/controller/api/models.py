"""What the API takes and gives, as strict models: unknown members are refused, every text and list has a bound.

Times are RFC 3339 with a zone, spans are seconds (``…_s``), names are those of the core.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Path, Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)

from bastide.core.decision import Release
from bastide.core.evidence import SubjectKind, Trust
from bastide.core.finding import Severity
from bastide.core.plan import Circle, CredentialState, NetworkMode, Point, UpdateEligibility
from bastide.core.standing import Stage, Standing


class Answer(BaseModel):
    """Something that is given."""

    model_config = ConfigDict(extra="forbid", from_attributes=True, frozen=True)


class Asked(BaseModel):
    """Something that is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _no_control_characters(text: str) -> str:
    if not all(sign.isprintable() or sign == "\n" for sign in text):
        raise ValueError("control characters are not allowed")
    return text


def _text_only(value: Any) -> Any:
    if not isinstance(value, str | datetime):
        raise ValueError("a time is RFC 3339 text with a zone, such as 2026-01-31T12:00:00Z")
    return value


NoControls = AfterValidator(_no_control_characters)
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True), NoControls]
Label = Annotated[str, StringConstraints(min_length=1, max_length=80), NoControls]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
RuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$")]
Seconds = Annotated[timedelta, PlainSerializer(timedelta.total_seconds, return_type=float)]
Moment = Annotated[AwareDatetime, BeforeValidator(_text_only), Field(json_schema_extra={"format": "date-time"})]
DeviceIn = Annotated[str, Path(pattern=r"^d-[a-z2-7]{20}$", description="The device's id.")]
Limit = Annotated[int, Query(ge=1, le=500, description="How many to give at most.")]

Item = TypeVar("Item")


class Page(Answer, Generic[Item]):
    """A part of a list. ``next`` is what to ask for as ``after`` to go on; null at the end."""

    items: list[Item]
    next: str | None = None


def page(items: Sequence[Item], limit: int, key: str) -> Page[Item]:
    """A page that says how to go on when it is full."""
    return Page(items=list(items), next=key if len(items) >= limit else None)


class AttributeOut(Answer):
    name: str
    value: str
    source: str
    confidence: float
    observed_at: datetime


class DeviceOut(Answer):
    """One device as it is known now."""

    id: str
    name: str
    device_class: str
    owner: str
    site: str
    zone: str
    profile: str
    standing: Standing
    stage: Stage
    generation: int
    version: int
    created_at: datetime
    decided_at: datetime | None
    reconsider_at: datetime | None
    last_seen: datetime | None
    attributes: list[AttributeOut]


class SubjectOut(Answer):
    kind: SubjectKind
    id: str


class EvidenceOut(Answer):
    """One observed fact."""

    id: str
    kind: str
    subject: SubjectOut
    source: str
    trust: Trust
    observed_at: datetime
    received_at: datetime
    fresh_for_s: Seconds | None = Field(
        validation_alias="fresh_for", description="How long it stays fresh; null where it does not age."
    )
    count: int
    body: dict[str, str | int | float | bool | None]


class FindingOut(Answer):
    """A claim, with the evidence behind it."""

    code: str
    subject: SubjectOut
    severity: Severity
    confidence: float
    title: str
    advice: str
    found_at: datetime
    because: list[str]


class HeldOut(Answer):
    """A rule that held."""

    rule: str
    cap: Standing
    because: str
    evidence: list[str]
    until: datetime | None
    waived_by: str | None


class DecisionOut(Answer):
    """Which standing was decided, and why."""

    device: str
    standing: Standing
    previous: Standing
    because: str
    held: list[HeldOut]
    policy: str
    at: datetime
    reconsider_at: datetime | None


class GrantOut(Answer):
    """What the device may do at the broker."""

    publish: list[str]
    subscribe: list[str]
    rate_per_second: float
    max_payload_bytes: int


class NetworkOut(Answer):
    """Whom the device may reach, and whether that is enforced or only watched."""

    circle: Circle
    mode: NetworkMode


class PlanOut(Answer):
    """What every enforcement point must hold."""

    device: str
    generation: int
    standing: Standing
    broker: GrantOut
    credential: CredentialState
    update: UpdateEligibility
    network: NetworkOut
    made_at: datetime


class OutcomeOut(Answer):
    """What one point holds, as measured there."""

    point: Point
    generation: int
    applied_at: datetime
    holds: str
    error: str


class EnforcementOut(Answer):
    """The plan in force and what each point holds now; ``plan`` is null before the first decision."""

    plan: PlanOut | None
    outcomes: list[OutcomeOut]


class TermOut(Answer):
    factor: str
    value: float
    because: str


class RiskOut(Answer):
    """Impact, exposure and likelihood, with their terms. It orders work only."""

    impact: float
    exposure: float
    likelihood: float
    score: float
    terms: list[TermOut]


class ReasonOut(Answer):
    """A rule that held, with the whole of its evidence."""

    rule: str
    cap: Standing
    because: str
    until: datetime | None
    waived_by: str | None
    evidence: list[EvidenceOut]


class RecordOut(Answer):
    """One ledger record. Facts about people are shown only where whoever asks may read people."""

    id: str
    kind: str
    subject: str
    actor: str
    at: datetime
    version: int
    body: dict[str, Any]


class ExplanationOut(Answer):
    """The whole chain: evidence, rules, decision, plan, and what holds now at each point, with the records of it."""

    device: DeviceOut
    decision: DecisionOut | None
    reasons: list[ReasonOut]
    risk: RiskOut
    plan: PlanOut | None
    outcomes: list[OutcomeOut]
    findings: list[FindingOut]
    records: list[RecordOut]


class PointInTime(Answer):
    at: datetime
    value: float


class SeriesOut(Answer):
    device: str
    field: str
    since: datetime
    until: datetime
    points: list[PointInTime]


class FieldsOut(Answer):
    device: str
    fields: list[str]


class ActIn(Asked):
    reason: Sentence = Field(description="Why; it is kept with the act.")


class ReleaseIn(ActIn):
    rule: RuleName | None = Field(default=None, description="Let go of this rule only; null for all.")


class BreakGlassIn(ActIn):
    standing: Literal[Standing.TRUSTED, Standing.RESTRICTED, Standing.QUARANTINED]
    minutes: Annotated[int, Field(ge=1, le=1440, strict=True)] = Field(description="It ends by itself after these.")


class GovernedOut(Answer):
    """What was decided, and what each point holds now; a point of an older generation is about to take the plan."""

    decision: DecisionOut
    plan: PlanOut | None
    outcomes: list[OutcomeOut]


class RuleOut(Answer):
    id: str
    kind: str
    at_least: int
    within_s: Seconds = Field(validation_alias="within")
    cap: Standing
    hold_s: Seconds = Field(validation_alias="hold")
    release: Release
    because: str
    classes: list[str]
