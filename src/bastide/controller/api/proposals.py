"""Network parts that wait for a person: lessons, what was learned or handed in, and what became of them."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Path, Query
from pydantic import Field

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.models import Answer, Asked, Name, Page, Sentence
from bastide.controller.api.network import MAX_DOCUMENT, Described, ProfileIn
from bastide.controller.api.routes import Routes, documented
from bastide.core.error import NotFound
from bastide.core.ids import ProfileName
from bastide.core.proposal import Origin, Proposal, ProposalState
from bastide.flows.govern_device import Governing
from bastide.flows.propose_reach import approve, begin_lesson, changes_of, decline, end_lesson, propose
from bastide.governance.access.roles import Permission

routes = Routes("", "network")

ProposalIn = Annotated[str, Path(pattern=r"^n-[a-z0-9-]{1,38}$", description="The proposal's id.")]
Minutes = Annotated[int, Field(ge=0, le=129_600, strict=True)]


class LessonAsked(Asked):
    """``minutes`` is how long the lesson lasts, ``since_minutes`` how much of what was heard before counts too."""

    minutes: Annotated[int, Field(ge=1, le=129_600, strict=True)]
    since_minutes: Minutes = 0


class Reasoned(Asked):
    reason: Sentence


class ProposalOut(Answer):
    """``ends_at`` is a lesson's deadline. ``told`` is what whoever decides should read."""

    id: str
    profile: str
    origin: Origin
    state: ProposalState
    told: list[str]
    by: str
    at: datetime
    ends_at: datetime | None
    decided_by: str
    decided_at: datetime | None
    reason: str


class WholeProposalOut(ProposalOut):
    """``more`` and ``less`` are sentences: what it permits more and no more than what is in force."""

    document: str
    more: list[str]
    less: list[str]


@routes.get("/proposals", needs=Permission.PROFILE_READ)
async def list_proposals(
    deps: Using, profile: Annotated[Name | None, Query(description="Only of this profile.")] = None
) -> Page[ProposalOut]:
    """Lessons and proposals, the newest first."""
    found = await deps.governing.stores.network.proposals(ProfileName(profile) if profile else None)
    return Page(items=[_out(one) for one in found])


@routes.get("/proposals/{proposal}", needs=Permission.PROFILE_READ, responses={404: documented(404)})
async def show_proposal(proposal: ProposalIn, deps: Using) -> WholeProposalOut:
    """One proposal with its MUD file, and what it would change."""
    found = await deps.governing.stores.network.proposal(proposal)
    if found is None:
        raise NotFound(f"There is no proposal {proposal}.")
    return await whole(found, deps.governing)


@routes.post(
    "/profiles/{profile}/proposals",
    needs=Permission.PROFILE_CHANGE,
    status_code=201,
    responses={404: documented(404)},
    max_body_size=2 * MAX_DOCUMENT,
)
async def make_proposal(profile: ProfileIn, asked: Described, asking: Asking, deps: Using) -> WholeProposalOut:
    """Hands in a MUD file for a person to decide on."""
    document = asked.document.encode()
    made = await propose(ProfileName(profile), document, Origin.HANDED_IN, (), asking.actor, deps.governing, deps.ids)
    return await whole(made, deps.governing)


@routes.post(
    "/profiles/{profile}/lessons", needs=Permission.PROFILE_CHANGE, status_code=201, responses={404: documented(404)}
)
async def make_lesson(profile: ProfileIn, asked: LessonAsked, asking: Asking, deps: Using) -> ProposalOut:
    """Begins to learn a profile from what its devices do; it ends by itself."""
    span, since = timedelta(minutes=asked.minutes), timedelta(minutes=asked.since_minutes)
    name = ProfileName(profile)
    return _out(await begin_lesson(name, span, asking.actor, deps.governing, deps.ids, since=since))


@routes.post("/proposals/{proposal}/end", needs=Permission.PROFILE_CHANGE, responses={404: documented(404)})
async def end_a_lesson(proposal: ProposalIn, asking: Asking, deps: Using) -> WholeProposalOut:
    """Ends a lesson before its deadline; what was heard so far becomes the proposal."""
    return await whole(await end_lesson(proposal, asking.actor, deps.governing), deps.governing)


@routes.post("/proposals/{proposal}/approval", needs=Permission.PROFILE_CHANGE, responses={404: documented(404)})
async def approve_proposal(proposal: ProposalIn, asked: Reasoned, asking: Asking, deps: Using) -> ProposalOut:
    """Puts a proposal in force as its profile's network part."""
    return _out(await approve(proposal, asked.reason, asking.actor, deps.governing))


@routes.post("/proposals/{proposal}/refusal", needs=Permission.PROFILE_CHANGE, responses={404: documented(404)})
async def refuse_proposal(proposal: ProposalIn, asked: Reasoned, asking: Asking, deps: Using) -> ProposalOut:
    """Declines a proposal, or stops a lesson; what is in force stays."""
    return _out(await decline(proposal, asked.reason, asking.actor, deps.governing))


def _out(one: Proposal) -> ProposalOut:
    return ProposalOut(
        **{name: getattr(one, name) for name in ProposalOut.model_fields if name != "told"}, told=list(one.told)
    )


async def whole(one: Proposal, with_: Governing) -> WholeProposalOut:
    more, less = await changes_of(one, with_)
    told = _out(one).model_dump()
    return WholeProposalOut(**told, document=one.document.decode(), more=list(more), less=list(less))
