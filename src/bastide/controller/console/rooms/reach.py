"""``/network/profiles`` and ``/network/zones``: what the network is meant to allow, and the acts on it."""

from dataclasses import replace
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.problems import status_of
from bastide.controller.api.routes import Routes
from bastide.controller.console.page import HEADERS, Pages, reader
from bastide.controller.console.views import reach, zones
from bastide.controller.console.views.network import WIDTH, size
from bastide.controller.console.views.questions import Question, about_proposal, fields_of, service
from bastide.core.error import BastideError, NotFound, Refused
from bastide.core.ids import ProfileName, is_name
from bastide.core.proposal import Origin
from bastide.flows.operator_acts import MAX_REASON
from bastide.flows.propose_reach import approve, begin_lesson, changes_of, decline, end_lesson, propose
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission
from bastide.network.segmentation.simulate import Judged

Days = Annotated[str, Query(max_length=3)]
Document = Annotated[str, Form(max_length=1 << 20)]
Reason = Annotated[str, Form(max_length=MAX_REASON)]
_CHANGE = Permission.PROFILE_CHANGE


def add(routes: Routes, pages: Pages) -> None:
    @routes.get("/network/zones", needs=Permission.FLEET_READ)
    async def zones_page(request: Request, asking: Asking, deps: Using) -> Response:
        maps = await zones.site_maps(deps.governing, reader(deps, asking))
        return await pages.show(request, "network_zones.html", "network", maps=maps, width=WIDTH)

    @routes.get("/network/profiles", needs=Permission.PROFILE_READ)
    async def profiles_page(request: Request, asking: Asking, deps: Using) -> Response:
        rows = await reach.profile_rows(deps.governing, reader(deps, asking))
        return await pages.show(request, "network_profiles.html", "network", rows=rows)

    async def one(
        request: Request, asking: Principal, deps: Using, name: str, days: str = "7", error: str = "", status: int = 200
    ) -> Response:
        if not is_name(name):
            raise NotFound(f"There is no profile {name[:40]!r}.")
        span = reach.DAYS.get(days, 7)
        page = await reach.profile_page(ProfileName(name), span, deps.governing, reader(deps, asking))
        return await pages.show(
            request,
            "network_profile.html",
            "network",
            status=status,
            shown=page,
            verdict=reach.verdict(page),
            looked_at=reach.looked_at(page),
            spans=tuple(reach.DAYS),
            size=size,
            asks=_asks,
            service=_service,
            may_permit=asking.may(_CHANGE),
            may_rule=asking.may(Permission.DEVICE_ACT),
            error=error,
        )

    @routes.get("/network/profiles/{profile}", needs=Permission.PROFILE_READ)
    async def profile_page(request: Request, asking: Asking, deps: Using, profile: str, days: Days = "7") -> Response:
        return await one(request, asking, deps, profile, days)

    @routes.post("/network/profiles/{profile}/proposals", needs=_CHANGE, max_body_size=4 << 20)
    async def hand_in(request: Request, asking: Asking, deps: Using, profile: str, document: Document = "") -> Response:
        name = ProfileName(profile)
        try:
            await propose(name, document.encode(), Origin.HANDED_IN, (), asking.actor, deps.governing, deps.ids)
        except BastideError as error:
            return await one(request, asking, deps, profile, error=error.sentence, status=status_of(error))
        return RedirectResponse(f"/network/profiles/{profile}#waiting", 303, {**HEADERS})

    @routes.post("/network/profiles/{profile}/lessons", needs=_CHANGE)
    async def learn(
        request: Request,
        asking: Asking,
        deps: Using,
        profile: str,
        days: Annotated[int, Form(ge=1, le=90)] = 7,
        before: Annotated[int, Form(ge=0, le=90)] = 0,
    ) -> Response:
        try:
            await begin_lesson(
                ProfileName(profile),
                timedelta(days=days),
                asking.actor,
                deps.governing,
                deps.ids,
                since=timedelta(days=before),
            )
        except BastideError as error:
            return await one(request, asking, deps, profile, error=error.sentence, status=status_of(error))
        return RedirectResponse(f"/network/profiles/{profile}#waiting", 303, {**HEADERS})

    async def question(proposal: str, answer: str, deps: Using) -> Question:
        found = await deps.governing.stores.network.proposal(proposal[:40])
        if found is None or answer not in ("approve", "decline", "end"):
            raise NotFound(f"There is no proposal {proposal[:40]!r}.")
        more, less = await changes_of(found, deps.governing)
        return about_proposal(found, answer, len(more), len(less))

    @routes.get("/network/proposals/{proposal}/{answer}", needs=_CHANGE)
    async def preview_answer(request: Request, asking: Asking, deps: Using, proposal: str, answer: str) -> Response:
        return await pages.show(request, "question.html", asked=await question(proposal, answer, deps), error="")

    @routes.post("/network/proposals/{proposal}/{answer}", needs=_CHANGE)
    async def answer_proposal(
        request: Request, asking: Asking, deps: Using, proposal: str, answer: str, reason: Reason = ""
    ) -> Response:
        asked, with_ = await question(proposal, answer, deps), deps.governing
        try:
            if answer == "approve":
                done = await approve(proposal, reason, asking.actor, with_)
            elif answer == "decline":
                done = await decline(proposal, reason, asking.actor, with_)
            else:
                done = await end_lesson(proposal, asking.actor, with_)
        except Refused as error:
            again = replace(asked, reason=reason)
            return await pages.show(request, "question.html", status=422, asked=again, error=error.sentence)
        if "HX-Request" in request.headers:
            return Response(status_code=204, headers={**HEADERS, "HX-Trigger": "acted"})
        return RedirectResponse(f"/network/profiles/{done.profile}", 303, {**HEADERS})


def _asks(one: Judged) -> str:
    """A conversation as the address of an act on it."""
    return urlencode(fields_of(one.flow))


def _service(one: Judged) -> str:
    return service(one.flow)
