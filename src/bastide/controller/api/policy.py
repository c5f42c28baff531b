"""Policy: what is in force, what another would do, putting it in force; and waivers, each with an owner and an end."""

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, Field

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.deps import Deps
from bastide.controller.api.devices import within_scope
from bastide.controller.api.models import (
    ActIn,
    Answer,
    Asked,
    Moment,
    Name,
    Page,
    RuleName,
    RuleOut,
    Sentence,
    SubjectOut,
)
from bastide.controller.api.routes import Routes
from bastide.core.decision import Waiver
from bastide.core.error import NotFound
from bastide.core.evidence import Subject, SubjectKind
from bastide.core.ids import DeviceId, OwnerName, RuleId
from bastide.core.standing import Standing
from bastide.flows.change_policy import apply_policy, simulate_policy
from bastide.flows.operator_acts import end_waiver, waive
from bastide.governance.access.error import NotPermitted
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission

routes = Routes("", "policy")

MAX_DOCUMENT = 128 * 1024


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a document has no NUL characters")
    return text


Document = Annotated[str, Field(min_length=1, max_length=MAX_DOCUMENT), AfterValidator(_no_nul)]


class PolicyOut(Answer):
    """The policy in force: ``digest`` is the SHA-256 of its canonical form, ``document`` the text it was read from."""

    digest: str
    document: str
    rules: list[RuleOut]


class PolicyIn(Asked):
    document: Document
    reason: Sentence


class SimulationIn(Asked):
    document: Document


class EffectOut(Answer):
    device: str
    name: str
    now: Standing
    then: Standing
    because: str


class SimulationOut(Answer):
    """What another policy would do: ``effects`` are the devices whose standing would differ."""

    digest: str
    looked_at: int
    effects: list[EffectOut]


class SubjectIn(Asked):
    kind: SubjectKind
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,199}$")]


class WaiverOut(Answer):
    """An exception to a rule; ``subject`` null means every device."""

    id: str
    rule: str
    subject: SubjectOut | None
    owner: str
    reason: str
    starts_at: datetime
    ends_at: datetime


class WaiverIn(Asked):
    rule: RuleName
    subject: SubjectIn | None = Field(default=None, description="A device, profile or site; null for every device.")
    owner: Name
    reason: Sentence
    ends_at: Moment


@routes.get("/policy", needs=Permission.POLICY_READ)
async def show_policy(deps: Using) -> PolicyOut:
    """The policy in force."""
    policies = deps.governing.stores.policies
    policy = await policies.current()
    rules = [RuleOut.model_validate(rule) for rule in policy.rules]
    return PolicyOut(digest=policy.digest, document=await policies.document(), rules=rules)


@routes.put("/policy", needs=Permission.POLICY_CHANGE)
async def put_policy(asked: PolicyIn, asking: Asking, deps: Using) -> PolicyOut:
    """Puts a policy in force; the loop then decides again for every device."""
    policy = await apply_policy(asked.document, asked.reason, asking.actor, deps.governing)
    rules = [RuleOut.model_validate(rule) for rule in policy.rules]
    return PolicyOut(digest=policy.digest, document=asked.document, rules=rules)


@routes.post("/policy/simulation", needs=Permission.POLICY_SIMULATE)
async def simulate(asked: SimulationIn, asking: Asking, deps: Using) -> SimulationOut:
    """What a policy would do to every device that whoever asks may see. Changes nothing."""
    simulation = await simulate_policy(asked.document, deps.governing, asking.scope)
    return SimulationOut.model_validate(simulation)


@routes.get("/waivers", needs=Permission.WAIVER_READ)
async def list_waivers(asking: Asking, deps: Using) -> Page[WaiverOut]:
    """The exceptions in force."""
    found = await deps.governing.stores.waivers.in_force(deps.clock.now())
    seen = [waiver for waiver in found if await _concerns(waiver.subject, asking, deps)]
    return Page(items=[WaiverOut.model_validate(waiver) for waiver in seen])


@routes.post("/waivers", needs=Permission.WAIVER_CHANGE, status_code=201)
async def create_waiver(asked: WaiverIn, asking: Asking, deps: Using) -> WaiverOut:
    """Grants an exception to one rule until an end."""
    subject = Subject(asked.subject.kind, asked.subject.id) if asked.subject else None
    if subject is not None and subject.kind is SubjectKind.DEVICE:
        await within_scope(subject.id, asking, deps)
    elif not _inside(subject, asking):
        raise NotPermitted(
            "The exception would reach devices outside your sites and classes; name a device or site of yours."
        )
    waiver = await waive(
        RuleId(asked.rule),
        subject,
        OwnerName(asked.owner),
        asked.reason,
        asked.ends_at,
        asking.actor,
        deps.governing,
        deps.ids,
    )
    return WaiverOut.model_validate(waiver)


@routes.post("/waivers/{waiver}/end", needs=Permission.WAIVER_CHANGE)
async def end_a_waiver(
    waiver: Annotated[str, Path(pattern=r"^w-[a-z2-7]{20}$")], asked: ActIn, asking: Asking, deps: Using
) -> WaiverOut:
    """Ends an exception now."""
    now = deps.clock.now()
    held = next((one for one in await deps.governing.stores.waivers.in_force(now) if one.id == waiver), None)
    if held is None or not await _concerns(held.subject, asking, deps):
        raise NotFound(f"There is no exception {waiver} in force. `bastide waiver list` shows those that there are.")
    if not _inside(held.subject, asking) and not _is_device(held):
        raise NotPermitted("This exception reaches devices outside your sites and classes.")
    await end_waiver(held, asked.reason, asking.actor, deps.governing)
    return WaiverOut.model_validate(held).model_copy(update={"ends_at": now})


def _is_device(waiver: Waiver) -> bool:
    return waiver.subject is not None and waiver.subject.kind is SubjectKind.DEVICE


def _inside(subject: Subject | None, asking: Principal) -> bool:
    """True where an exception for the subject reaches no device outside the scope of whoever asks."""
    if asking.scope.boundless:
        return True
    site_only = not asking.scope.classes and subject is not None and subject.kind is SubjectKind.SITE
    return site_only and subject is not None and subject.id in asking.scope.sites


async def _concerns(subject: Subject | None, asking: Principal, deps: Deps) -> bool:
    """True where an exception for the subject could concern a device that whoever asks may see."""
    if asking.scope.boundless or subject is None or subject.kind is SubjectKind.PROFILE:
        return True
    if subject.kind is SubjectKind.SITE:
        return not asking.scope.sites or subject.id in asking.scope.sites
    if subject.kind is not SubjectKind.DEVICE:
        return False
    try:
        return asking.sees(await deps.governing.stores.devices.get(DeviceId(subject.id)))
    except NotFound:
        return False
