"""Puts the console's rooms on the app."""

from inspect import isawaitable

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from bastide.controller.api.credentials import Certificates
from bastide.controller.console.assets import Assets
from bastide.controller.console.guard import error_page, page_routes
from bastide.controller.console.page import Pages
from bastide.controller.console.rooms import (
    devices,
    enrol,
    flows,
    ledger,
    network,
    public,
    reach,
    releases,
    settings,
    stream,
    watch,
)
from bastide.controller.console.views.enrolling import Enrolment
from bastide.flows.propose_rollout import Rolling


def install(
    app: FastAPI, checkpoint_key: str, enrolment: Enrolment, certificates: Certificates, rolling: Rolling
) -> None:
    """Adds every page to the API's app (``create_app``). ``checkpoint_key`` is the ledger's verifier key (C2SP);
    ``certificates`` reads the platform's own from where they are."""
    pages = Pages(Assets.load(), checkpoint_key)
    routes = page_routes(pages)
    for room in (public, watch, network, reach, flows, ledger, stream):
        room.add(routes, pages)
    devices.add(routes, pages, enrolment.claiming.reads, rolling.reads)
    enrol.add(routes, pages, enrolment)
    releases.add(routes, pages, rolling)
    settings.add(routes, pages, certificates)
    app.include_router(routes.router)
    known = app.exception_handlers[HTTPException]

    async def unknown(request: Request, error: HTTPException) -> Response:
        """An address that does not exist: a page for a browser, a problem document for a program."""
        if (
            error.status_code == 404
            and not request.url.path.startswith("/api/")
            and "text/html" in request.headers.get("Accept", "")
        ):
            return await error_page(pages, request, 404, "The address may be mistyped, or what was here is gone.")
        answered = known(request, error)
        return await answered if isawaitable(answered) else answered

    app.add_exception_handler(HTTPException, unknown)  # type: ignore[arg-type]
