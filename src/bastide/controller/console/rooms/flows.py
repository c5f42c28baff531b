"""Acts on what the network lets a device do, each with a question before it: one flow of a device, and the mode of a profile."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.devices import within_scope
from bastide.controller.api.routes import Routes
from bastide.controller.console.page import HEADERS, Pages
from bastide.controller.console.views.questions import Question, about_flow, about_mode, about_undo
from bastide.core.error import NotFound, Refused
from bastide.core.mode import Over
from bastide.core.plan import NetworkMode
from bastide.flows.describe_network import add_to_profile, allow, end_ruling, keep_denied
from bastide.flows.enforce_reach import enforce, observe
from bastide.flows.operator_acts import MAX_REASON
from bastide.flows.simulate_reach import devices_of
from bastide.governance.access.roles import Permission
from bastide.network.profile.amend import Flow
from bastide.ports.platform.stores import DeviceFilter

Reason = Annotated[str, Form(max_length=MAX_REASON)]
_TRANSPORT = r"^(tcp|udp|icmp|icmpv6)$"


def _flow(peer: str, name: str, transport: str, port: int, out: int) -> Flow:
    try:
        return Flow(str(ip_address(peer)), name, transport, port, bool(out))
    except ValueError as error:
        raise Refused(f"{peer[:45]!r} is not an IP address.", code="flow:peer") from error


def asked_flow(
    peer: Annotated[str, Query(max_length=45)],
    transport: Annotated[str, Query(pattern=_TRANSPORT)],
    name: Annotated[str, Query(max_length=255)] = "",
    port: Annotated[int, Query(ge=0, le=65535)] = 0,
    out: Annotated[int, Query(ge=0, le=1)] = 1,
) -> Flow:
    return _flow(peer, name, transport, port, out)


def posted_flow(
    peer: Annotated[str, Form(max_length=45)],
    transport: Annotated[str, Form(pattern=_TRANSPORT)],
    name: Annotated[str, Form(max_length=255)] = "",
    port: Annotated[int, Form(ge=0, le=65535)] = 0,
    out: Annotated[int, Form(ge=0, le=1)] = 1,
) -> Flow:
    return _flow(peer, name, transport, port, out)


def add(routes: Routes, pages: Pages) -> None:
    async def ask(request: Request, question: Question, error: str = "") -> Response:
        return await pages.show(request, "question.html", status=422 if error else 200, asked=question, error=error)

    def done(request: Request, to: str) -> Response:
        if "HX-Request" in request.headers:
            return Response(status_code=204, headers={**HEADERS, "HX-Trigger": "acted"})
        return RedirectResponse(to, 303, {**HEADERS})

    async def carry_out(
        request: Request,
        to: str,
        reason: str,
        question: Callable[[bool], Question],
        act: Callable[[], Awaitable[object]],
    ) -> Response:
        """Does it; a refusal is the question again, with why, and with the reason that was typed."""
        try:
            await act()
        except Refused as error:
            again = replace(question(error.reason == "mode:would-cut"), reason=reason)
            return await ask(request, again, error.sentence)
        return done(request, to)

    def about(answer: str, needs: Permission) -> None:
        async def preview(
            request: Request, asking: Asking, deps: Using, device: str, flow: Annotated[Flow, Depends(asked_flow)]
        ) -> Response:
            found = await within_scope(device, asking, deps)
            kind = await devices_of(found.profile, DeviceFilter(), deps.governing.stores)
            return await ask(request, about_flow(answer, found, flow, len(kind)))

        async def act(
            request: Request,
            asking: Asking,
            deps: Using,
            device: str,
            flow: Annotated[Flow, Depends(posted_flow)],
            reason: Reason = "",
            hours: Annotated[int, Form(ge=1, le=168)] = 24,
        ) -> Response:
            found, with_ = await within_scope(device, asking, deps), deps.governing
            kind = await devices_of(found.profile, DeviceFilter(), with_.stores)

            async def answered() -> object:
                if answer == "permit":
                    return await add_to_profile(found.id, flow, reason, asking.actor, with_)
                if answer == "allow":
                    span = timedelta(hours=hours)
                    return await allow(found.id, flow, span, reason, asking.actor, with_, deps.ids)
                return await keep_denied(found.id, flow, reason, asking.actor, with_, deps.ids)

            return await carry_out(
                request, f"/devices/{found.id}", reason, lambda _: about_flow(answer, found, flow, len(kind)), answered
            )

        preview.__name__, act.__name__ = f"{answer}_flow_preview", f"{answer}_flow"
        routes.get(f"/devices/{{device}}/flows/{answer}", needs=needs)(preview)
        routes.post(f"/devices/{{device}}/flows/{answer}", needs=needs)(act)

    about("permit", Permission.PROFILE_CHANGE)
    about("allow", Permission.DEVICE_ACT)
    about("deny", Permission.DEVICE_ACT)

    @routes.get("/devices/{device}/flows/undo", needs=Permission.DEVICE_ACT)
    async def undo_preview(
        request: Request, asking: Asking, deps: Using, device: str, ruling: Annotated[str, Query(max_length=40)]
    ) -> Response:
        found = await within_scope(device, asking, deps)
        held = await deps.governing.stores.network.rulings(deps.clock.now(), found.id)
        mine = next((one for one in held if one.id == ruling), None)
        if mine is None:
            raise NotFound("It was taken back already, or ended by itself.")
        return await ask(request, about_undo(found, mine))

    @routes.post("/devices/{device}/flows/undo", needs=Permission.DEVICE_ACT)
    async def undo(
        request: Request, asking: Asking, deps: Using, device: str, ruling: Annotated[str, Form(max_length=40)]
    ) -> Response:
        found = await within_scope(device, asking, deps)
        await end_ruling(found.id, ruling, asking.actor, deps.governing)
        return done(request, f"/devices/{found.id}")

    def mode(over: Over, path: str, needs: Permission) -> None:
        async def named(name: str, asking: Asking, deps: Using) -> str:
            if over is not Over.DEVICE:
                return f"the profile {name}"
            found = await within_scope(name, asking, deps)
            return found.name or found.id

        async def preview(request: Request, asking: Asking, deps: Using, name: str, mode: NetworkMode) -> Response:
            return await ask(request, about_mode(over, name, await named(name, asking, deps), mode))

        async def act(
            request: Request,
            asking: Asking,
            deps: Using,
            name: str,
            mode: NetworkMode,
            reason: Reason = "",
            anyway: Annotated[str, Form(max_length=3)] = "",
        ) -> Response:
            title, with_ = await named(name, asking, deps), deps.governing

            async def set_() -> object:
                if mode is NetworkMode.OBSERVE:
                    return await observe(over, name, reason, asking.actor, with_)
                return await enforce(over, name, reason, asking.actor, with_, anyway=anyway == "yes")

            to = f"/devices/{name}" if over is Over.DEVICE else f"/network/profiles/{name}"
            return await carry_out(
                request, to, reason, lambda insist: about_mode(over, name, title, mode, insist), set_
            )

        preview.__name__, act.__name__ = f"{over}_mode_preview", f"{over}_mode"
        routes.get(f"{path}/{{name}}/mode/{{mode}}", needs=needs)(preview)
        routes.post(f"{path}/{{name}}/mode/{{mode}}", needs=needs)(act)

    mode(Over.DEVICE, "/devices", Permission.DEVICE_ACT)
    mode(Over.PROFILE, "/network/profiles", Permission.PROFILE_CHANGE)
