"""Who asks: a session's cookie or an API token becomes a ``Principal``, or the request ends here.

A cookie is sent by the browser whoever caused the request, so a session also shows its CSRF token with everything that is
not a read (header ``X-CSRF-Token``, or the field ``csrf`` of a form), and a request that the browser itself calls cross-site
is refused. An API token is only ever sent on purpose and needs neither.
"""

from typing import Annotated

from fastapi import Depends, Request, Response

from bastide.controller.api.deps import Deps
from bastide.flows import sign_in
from bastide.flows.sign_in import SignedIn, Visitor
from bastide.governance.access import session
from bastide.governance.access.error import NotPermitted, NotSignedIn
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission

COOKIE = "__Host-bastide"
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf"

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM = "application/x-www-form-urlencoded"
# A sign-in cookie is 65 characters and a token 73; whoever sends much more sends neither.
_LONGEST_SECRET = 128


async def admit(request: Request, permission: Permission | None, *, public: bool = False) -> None:
    """Lets a request pass, with ``request.state.principal`` set (None on a public route), or raises."""
    _refuse_cross_site(request)
    if public:
        request.state.principal = None
        return
    asking = await authenticate(request)
    if asking is None:
        raise NotSignedIn("Sign in first, or send an API token as `Authorization: Bearer …`.")
    if permission is not None:
        asking.demand(permission)
    request.state.principal = asking


async def authenticate(request: Request) -> Principal | None:
    """Who asks; None where nothing was shown. ``NotSignedIn`` where what was shown does not hold."""
    deps = deps_of(request)
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer" or not 0 < len(bearer) <= _LONGEST_SECRET:
            raise NotSignedIn("Only `Authorization: Bearer` with an API token is known here.")
        return await sign_in.known_by_token(deps.door, bearer.strip())
    cookie = request.cookies.get(COOKIE, "")
    if not cookie:
        return None
    if len(cookie) > _LONGEST_SECRET:
        raise NotSignedIn("The session is not known here; sign in again.")
    asking = await sign_in.known_by_session(deps.door, cookie)
    if request.method not in _READS:
        offered = request.headers.get(CSRF_HEADER, "")
        if not offered and request.headers.get("Content-Type", "").partition(";")[0].strip().lower() == _FORM:
            field = (await request.form()).get(CSRF_FIELD, "")
            offered = field if isinstance(field, str) else ""
        if not session.csrf_holds(cookie, offered):
            raise NotPermitted(
                f"The request lacks the session's CSRF token (header {CSRF_HEADER} or form field `{CSRF_FIELD}`); "
                "load the page again.",
                code="access:csrf",
            )
    return asking


def deps_of(request: Request) -> Deps:
    """What the app was made with."""
    deps: Deps = request.app.state.deps
    return deps


def _principal(request: Request) -> Principal:
    asking: Principal | None = request.state.principal
    if asking is None:
        raise NotSignedIn("Sign in first.")
    return asking


Asking = Annotated[Principal, Depends(_principal)]
"""A handler's parameter of this type is whoever asks."""

Using = Annotated[Deps, Depends(deps_of)]
"""A handler's parameter of this type is what the app was made with."""


def csrf_of(request: Request) -> str:
    """The CSRF token for pages and forms of the session that asks; empty without one."""
    cookie = request.cookies.get(COOKIE, "")
    return session.csrf_token(cookie) if cookie else ""


def visitor(request: Request) -> Visitor:
    """Where the request comes from."""
    return Visitor(
        address=request.client.host if request.client else "", agent=request.headers.get("User-Agent", "")[:200]
    )


def keep(response: Response, opened: SignedIn) -> None:
    """Hands the session to the browser."""
    response.set_cookie(
        COOKIE,
        opened.text,
        max_age=int(session.ABSOLUTE_LIMIT.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )


def drop(response: Response) -> None:
    """Takes the session from the browser."""
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")


def _refuse_cross_site(request: Request) -> None:
    """What the browser itself says of where a request comes from (Fetch Metadata); other clients say nothing."""
    if request.method in _READS:
        return
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise NotPermitted("Another site made the browser send this; nothing was done.", code="access:cross-site")
