"""Routes that cannot be written without a rule: ``needs`` is a permission, ``SIGNED_IN`` or ``PUBLIC``, and has no default.

The rule is checked before anything of the request is read but its headers (and, for a form, its CSRF field), so that whoever
may not learns nothing from how a body is refused. tests/controller/test_role_matrix.py fails any route of the app that is not
one of these.
"""

from collections.abc import Callable, Coroutine, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from bastide.controller.api import access
from bastide.controller.api.problems import MEDIA_TYPE, Problem
from bastide.governance.access.roles import Permission

RULE = "x-bastide-needs"
MAX_BODY_BYTES = 256 * 1024

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


class Open(StrEnum):
    """Rules that are not a permission."""

    PUBLIC = "public"
    SIGNED_IN = "signed-in"


PUBLIC = Open.PUBLIC
SIGNED_IN = Open.SIGNED_IN
Needs = Permission | Open


class GuardedRoute(APIRoute):
    """A route that asks its rule first."""

    @property
    def needs(self) -> Needs:
        rule: Needs = (self.openapi_extra or {})[RULE]
        return rule

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        needs = self.needs

        async def guarded(request: Request) -> Response:
            await access.admit(request, needs if isinstance(needs, Permission) else None, public=needs is PUBLIC)
            return await answer(request)

        return guarded


class Routes:
    """A group of guarded routes. ``pages`` are for browsers: outside the OpenAPI document, and who is not signed in is
    sent to the sign-in page."""

    def __init__(self, prefix: str = "", tag: str = "", *, pages: bool = False) -> None:
        self.router = APIRouter(prefix=prefix, tags=[tag] if tag else None, route_class=GuardedRoute)
        self._pages = pages

    def get(self, path: str, *, needs: Needs, **more: Any) -> Callable[[_Endpoint], _Endpoint]:
        return self._add("GET", path, needs, more)

    def post(self, path: str, *, needs: Needs, **more: Any) -> Callable[[_Endpoint], _Endpoint]:
        return self._add("POST", path, needs, more)

    def put(self, path: str, *, needs: Needs, **more: Any) -> Callable[[_Endpoint], _Endpoint]:
        return self._add("PUT", path, needs, more)

    def patch(self, path: str, *, needs: Needs, **more: Any) -> Callable[[_Endpoint], _Endpoint]:
        return self._add("PATCH", path, needs, more)

    def delete(self, path: str, *, needs: Needs, **more: Any) -> Callable[[_Endpoint], _Endpoint]:
        return self._add("DELETE", path, needs, more)

    def _add(self, method: str, path: str, needs: Needs, more: dict[str, Any]) -> Callable[[_Endpoint], _Endpoint]:
        responses = (
            more.pop("responses", {}) if self._pages else _errors(method, path, needs) | more.pop("responses", {})
        )
        extra: dict[str, Any] = {RULE: needs}
        if needs is PUBLIC:
            extra["security"] = []
        more.setdefault("max_body_size", MAX_BODY_BYTES)

        def register(endpoint: _Endpoint) -> _Endpoint:
            self.router.add_api_route(
                path,
                endpoint,
                methods=[method],
                responses=responses,
                openapi_extra=extra,
                include_in_schema=not self._pages,
                operation_id=endpoint.__name__,
                **more,
            )
            return endpoint

        return register


_MEANING = {
    400: "The request's body cannot be read.",
    401: "Nobody is signed in, or the session or token has ended.",
    403: "Whoever asks may not do this.",
    404: "There is no such thing within the scope of whoever asks.",
    409: "Somebody else changed it first, or it is in a state that forbids this.",
    413: "The request is too large.",
    422: "The request is not as documented, or a rule refuses it; `detail` says which.",
    503: "A part that this needs does not answer now.",
}


def _errors(method: str, path: str, needs: Needs) -> Mapping[int | str, dict[str, Any]]:
    """The error answers that every route of this kind may give."""
    statuses = {422, 503}
    if needs is not PUBLIC:
        statuses |= {401, 403}
    if "{" in path:
        statuses |= {404}
    if method != "GET":
        statuses |= {400, 403, 404, 409, 413}
    return {status: documented(status) for status in sorted(statuses)}


def documented(status: int, meaning: str = "") -> dict[str, Any]:
    """An error answer as the OpenAPI document shows it."""
    return {
        "description": meaning or _MEANING[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
    }
