"""``/releases``: what is published and where it runs, rollouts, and the acts on them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated

from fastapi import Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.problems import status_of
from bastide.controller.api.rollouts import must_reach, reaches, sees
from bastide.controller.api.routes import Routes
from bastide.controller.console.page import HEADERS, Pages, reader
from bastide.controller.console.views import releases
from bastide.core.error import BastideError, NotFound, Refused
from bastide.core.ids import DeviceClass
from bastide.flows import propose_rollout as flows
from bastide.flows.operator_acts import MAX_REASON
from bastide.flows.propose_rollout import Rolling
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission
from bastide.operations.rollout.plan import Rings
from bastide.operations.rollout.rollout import Phase, Rollout, RolloutId, Target, Terms

_CHANGE = Permission.ROLLOUT_CHANGE
Short = Annotated[str, Query(max_length=64)]
Field = Annotated[str, Form(max_length=64)]
ACTS: Mapping[Phase, tuple[tuple[str, str], ...]] = {
    Phase.PROPOSED: (("approve", "Approve"), ("stop", "Stop")),
    Phase.RUNNING: (("pause", "Pause"), ("stop", "Stop")),
    Phase.PAUSED: (("resume", "Go on"), ("stop", "Stop")),
    Phase.STOPPED: (),
    Phase.ENDED: (),
}


def add(routes: Routes, pages: Pages, rolling: Rolling) -> None:
    @routes.get("/releases", needs=Permission.FLEET_READ)
    async def releases_page(request: Request, asking: Asking) -> Response:
        published, rollouts = await releases.room(rolling, asking)
        return await pages.show(
            request, "releases.html", "releases", published=published, rollouts=rollouts, may_roll=asking.may(_CHANGE)
        )

    async def new(
        request: Request, asking: Principal, deps: Using, given: Mapping[str, str], error: str = "", status: int = 200
    ) -> Response:
        """The form; with a class, what the release would do to its devices stands beside it."""
        found = await flows.published(given["name"], given["version"], rolling)
        classes = sorted(one.name for one in await deps.governing.stores.catalogue.classes())
        target, looked = Target(DeviceClass(given["class"]), given["site"]), None
        if given["class"] and reaches(asking, target):
            looked = await flows.look_before(found, target, rolling)
        return await pages.show(
            request,
            "rollout_new.html",
            "releases",
            status=status,
            release=found,
            given=given,
            classes=classes,
            looked=looked,
            hindered=releases.HINDERED,
            error=error,
        )

    @routes.get("/releases/new", needs=_CHANGE)
    async def new_rollout(
        request: Request,
        asking: Asking,
        deps: Using,
        name: Short = "",
        version: Short = "",
        device_class: Annotated[str, Query(alias="class", max_length=63)] = "",
        site: Annotated[str, Query(max_length=63)] = "",
    ) -> Response:
        given = {
            "name": name,
            "version": version,
            "class": device_class,
            "site": site,
            "rings": "1, 10, 50, 100",
            "approvals": "1",
        }
        return await new(request, asking, deps, given)

    @routes.post("/releases/new", needs=_CHANGE)
    async def propose_rollout(
        request: Request,
        asking: Asking,
        deps: Using,
        name: Field = "",
        version: Field = "",
        device_class: Annotated[str, Form(alias="class", max_length=63)] = "",
        site: Field = "",
        rings: Field = "1, 10, 50, 100",
        approvals: Annotated[int, Form(ge=1, le=5)] = 1,
    ) -> Response:
        given = {
            "name": name,
            "version": version,
            "class": device_class,
            "site": site.strip(),
            "rings": rings,
            "approvals": str(approvals),
        }
        try:
            target = Target(DeviceClass(device_class), site.strip())
            if not device_class:
                raise Refused("Choose the class of the devices that it is for.")
            must_reach(asking, target)
            terms = Terms(rings=_rings(rings), approvals=approvals)
            release = await flows.published(name, version, rolling)
            made = await flows.propose(release, target, terms, asking.actor, asking.person, rolling)
        except BastideError as error:
            return await new(request, asking, deps, given, error.sentence, status_of(error))
        return RedirectResponse(f"/releases/rollouts/{made.id}", 303, {**HEADERS})

    @routes.get("/releases/rollouts/{rollout}", needs=Permission.FLEET_READ)
    async def rollout_page(request: Request, asking: Asking, deps: Using, rollout: str) -> Response:
        held = await held_by(rollout, asking)
        shown = await releases.rollout_page(held, rolling, reader(deps, asking))
        acts = ACTS[held.phase] if asking.may(_CHANGE) else ()
        return await pages.show(request, "rollout.html", "releases", shown=shown, acts=acts, width=releases.CHART)

    async def held_by(rollout: str, asking: Principal) -> Rollout:
        held = await rolling.reads.get(RolloutId(rollout[:64]))
        if not sees(asking, held):
            raise NotFound(f"There is no rollout {rollout[:64]} that you may see.")
        return held

    def act(key: str, does: Callable[[RolloutId, str, Principal], object]) -> None:
        async def preview(request: Request, asking: Asking, rollout: str) -> Response:
            asked = releases.about_act(key, await held_by(rollout, asking))
            return await pages.show(request, "question.html", asked=asked, error="")

        async def carry_out(
            request: Request,
            asking: Asking,
            rollout: str,
            reason: Annotated[str, Form(max_length=MAX_REASON)] = "",
        ) -> Response:
            held = await held_by(rollout, asking)
            try:
                await does(held.id, reason, asking)  # type: ignore[misc]
            except BastideError as error:
                again = replace(releases.about_act(key, held), reason=reason)
                return await pages.show(
                    request, "question.html", status=status_of(error), asked=again, error=error.sentence
                )
            if "HX-Request" in request.headers:
                return Response(status_code=204, headers={**HEADERS, "HX-Trigger": "acted"})
            return RedirectResponse(f"/releases/rollouts/{held.id}", 303, {**HEADERS})

        preview.__name__, carry_out.__name__ = f"{key}_rollout_preview", f"{key}_rollout"
        routes.get(f"/releases/rollouts/{{rollout}}/{key}", needs=_CHANGE)(preview)
        routes.post(f"/releases/rollouts/{{rollout}}/{key}", needs=_CHANGE)(carry_out)

    act("approve", lambda id, _, asking: flows.approve(id, asking.actor, asking.person, rolling))
    act("pause", lambda id, reason, asking: flows.pause(id, reason, asking.actor, rolling))
    act("resume", lambda id, _, asking: flows.resume(id, asking.actor, rolling))
    act("stop", lambda id, reason, asking: flows.end(id, reason, asking.actor, rolling))


def _rings(text: str) -> Rings:
    """``1, 10, 100``: per cent of the devices, rising to 100."""
    try:
        return Rings(tuple(float(one) / 100 for one in text.replace("%", "").split(",")))
    except ValueError as error:
        raise Refused("Write the rings as per cent that rise to 100, such as 1, 10, 50, 100.") from error
