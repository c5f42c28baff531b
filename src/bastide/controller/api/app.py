"""The API's app: its routes, its errors, its headers. ``create_app`` takes ports only; the console adds its pages to it."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bastide.controller.api import (
    account,
    conversations,
    devices,
    fleet,
    inventory,
    ledger,
    looks,
    modes,
    network,
    people,
    policy,
    problems,
    proposals,
    reach,
    scans,
)
from bastide.controller.api.access import COOKIE
from bastide.controller.api.deps import Deps
from bastide.controller.api.problems import Problem
from bastide.controller.api.routes import PUBLIC, Routes

PREFIX = "/api/v1"

# Pages are made on the server and everything they load is ours: no inline script, no frame, no other host.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

API: tuple[Routes, ...] = (
    fleet.routes,
    devices.routes,
    policy.routes,
    ledger.routes,
    looks.routes,
    scans.routes,
    conversations.routes,
    network.routes,
    modes.routes,
    proposals.routes,
    reach.routes,
    inventory.routes,
    account.routes,
    people.routes,
)


def create_app(deps: Deps, *, more: Sequence[Routes] = ()) -> FastAPI:
    """The app over its ports. ``more`` adds groups under /api/v1; ``controller.console.install`` adds the pages."""
    app = FastAPI(
        title="Bastide",
        version=version("bastide"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.deps = deps
    app.include_router(fleet.health.router)
    for group in (*API, *more, _document(app)):
        app.include_router(group.router, prefix=PREFIX)
    problems.install(app)
    app.add_middleware(_Outermost)
    return app


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the app, with the errors' schema and the two ways to show who asks."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary="One control plane for the security of a fleet of IoT devices.",
            routes=app.routes,
        )
        components = document.setdefault("components", {})
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        components.setdefault("schemas", {}).update({**schema.pop("$defs", {}), Problem.__name__: schema})
        components["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "An API token."},
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": COOKIE,
                "description": "With X-CSRF-Token for changes.",
            },
        }
        document["security"] = [{"token": []}, {"session": []}]
        app.openapi_schema = document
    return app.openapi_schema


def _document(app: FastAPI) -> Routes:
    routes = Routes("", "document", pages=True)

    @routes.get("/openapi.json", needs=PUBLIC)
    async def openapi_document() -> JSONResponse:
        return JSONResponse(openapi(app))

    return routes


class _Outermost:
    """Puts the security headers on every answer, and answers what nothing else caught with a problem that leaks nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = too_large = False

        async def sending(message: Message) -> None:
            nonlocal started, too_large
            if too_large:
                return  # the rest of an answer that was replaced
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if message["status"] == 413 and headers.get("Content-Type", "").startswith("text/plain"):
                    # The body limit answers below everything that knows of problems.
                    await problems.of_anything(HTTPException(413))(scope, receive, sending)
                    too_large = True
                    return
                started = True
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            if started:
                raise
            await problems.of_anything(error)(scope, receive, sending)
