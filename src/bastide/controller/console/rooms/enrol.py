"""``/enrol``: make a claim, and the commands that enrol a device with it."""

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Form, Request, Response
from fastapi.responses import RedirectResponse

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.deps import Deps
from bastide.controller.api.problems import status_of
from bastide.controller.api.routes import Routes
from bastide.controller.console.page import HEADERS, Pages, reader
from bastide.controller.console.views.enrolling import Enrolment, claims, waiting, ways
from bastide.core.error import BastideError, NotFound, Refused
from bastide.core.ids import ClaimId, DeviceClass, SiteName
from bastide.device.credential.admission import EnrolmentRequestId
from bastide.flows.admissions import approve, decline
from bastide.flows.claims import NewClaim, create_claim, revoke_claim
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission

Text = Annotated[str, Form(max_length=200)]


def add(routes: Routes, pages: Pages, enrolment: Enrolment) -> None:
    async def show(
        request: Request,
        asking: Principal,
        deps: Deps,
        *,
        made: NewClaim | None = None,
        error: str = "",
        status: int = 200,
    ) -> Response:
        catalogue = deps.governing.stores.catalogue
        return await pages.show(
            request,
            "enrol.html",
            "devices",
            status=status,
            made=made,
            ways=ways(enrolment, made) if made else (),
            claims=await claims(enrolment, reader(deps, asking), deps.clock.now()),
            waiting=await waiting(enrolment, reader(deps, asking), deps.clock.now()),
            classes=sorted(one.name for one in await catalogue.classes() if asking.scope.holds(one.name, one.site)),
            est_url=enrolment.est_url,
            error=error,
        )

    @routes.get("/enrol", needs=Permission.CLAIM_CHANGE)
    async def enrol_page(request: Request, asking: Asking, deps: Using) -> Response:
        return await show(request, asking, deps)

    @routes.post("/enrol", needs=Permission.CLAIM_CHANGE)
    async def make_a_claim(
        request: Request,
        asking: Asking,
        deps: Using,
        device_class: Annotated[str, Form(alias="class", max_length=63)] = "",
        name: Text = "",
        owner: Text = "",
        site: Text = "",
        hours: Annotated[int, Form(ge=1, le=24 * 90)] = 1,
    ) -> Response:
        try:
            if not asking.scope.boundless:
                entry = await deps.governing.stores.catalogue.device_class(DeviceClass(device_class))
                if not asking.scope.holds(entry.name, SiteName(site.strip()) if site.strip() else entry.site):
                    raise Refused("The claim would be for a class or site outside your sites and classes.")
            made = await create_claim(
                device_class.strip(),
                asking.actor,
                enrolment.claiming,
                owner=owner.strip(),
                site=site.strip(),
                name=name.strip(),
                ttl=timedelta(hours=hours),
            )
        except BastideError as error:
            return await show(request, asking, deps, error=error.sentence, status=status_of(error))
        return await show(request, asking, deps, made=made)

    @routes.post("/enrol/requests/{request_id}/{answer}", needs=Permission.CLAIM_CHANGE)
    async def answer_a_request(
        request: Request, asking: Asking, deps: Using, request_id: str, answer: Literal["approve", "decline"]
    ) -> Response:
        held = await enrolment.admitting.reads.request_of(EnrolmentRequestId(request_id[:64]))
        if held is None or not asking.scope.holds(held.device_class, held.site):
            raise NotFound(f"There is no request {request_id[:64]} that you may answer.")
        try:
            act = approve if answer == "approve" else decline
            await act(held.id, asking.actor, enrolment.admitting)
        except BastideError as error:
            return await show(request, asking, deps, error=error.sentence, status=status_of(error))
        return RedirectResponse("/enrol", 303, {**HEADERS})

    @routes.get("/enrol/{claim}", needs=Permission.CLAIM_CHANGE)
    async def claim_state(request: Request, asking: Asking, deps: Using, claim: str) -> Response:
        """Whether the device has come, for the page that waits for it."""
        held = await enrolment.claiming.reads.claim(ClaimId(claim[:64]))
        if held is None or not asking.scope.holds(held.device_class, held.site):
            raise NotFound(f"There is no claim {claim[:64]} that you may see.")
        issuance = await enrolment.claiming.reads.issuance(held.request) if held.request else None
        device = await reader(deps, asking).device(issuance.device) if issuance else None
        return await pages.show(
            request, "enrol_waiting.html", claim=held, state=held.standing_at(deps.clock.now()), device=device
        )

    @routes.post("/enrol/{claim}/revoke", needs=Permission.CLAIM_CHANGE)
    async def revoke_one_claim(request: Request, asking: Asking, deps: Using, claim: str) -> Response:
        held = await enrolment.claiming.reads.claim(ClaimId(claim[:64]))
        if held is None or not asking.scope.holds(held.device_class, held.site):
            raise NotFound(f"There is no claim {claim[:64]} that you may revoke.")
        await revoke_claim(held.id, asking.actor, enrolment.claiming)
        return RedirectResponse("/enrol", 303, {**HEADERS})
