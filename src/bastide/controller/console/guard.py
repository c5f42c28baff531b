"""Pages are guarded like the API, by the same rules; only their errors are pages too.

Who is not signed in is sent to the sign-in page and comes back afterwards. A part of a page that htmx asked for cannot be
redirected by a 3xx (the browser would follow it inside the page), so it is told by htmx's own header.
"""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse

from bastide.controller.api.problems import status_of
from bastide.controller.api.routes import GuardedRoute, Routes
from bastide.controller.console.page import HEADERS, Pages
from bastide.core.error import BastideError
from bastide.governance.access.error import NotSignedIn

TITLES = {
    401: "Sign in first.",
    403: "Your role does not allow this.",
    404: "There is nothing here.",
    409: "Somebody else was quicker.",
    422: "That could not be done.",
    429: "Too many tries.",
    503: "A part of Bastide does not answer.",
}


def page_routes(pages: Pages) -> Routes:
    """A group of guarded routes whose errors are pages."""

    class PageRoute(GuardedRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()

            async def shown(request: Request) -> Response:
                try:
                    return await answer(request)
                except NotSignedIn:
                    return to_sign_in(request)
                except BastideError as error:
                    return await error_page(pages, request, status_of(error), error.sentence)
                except RequestValidationError:
                    return await error_page(
                        pages, request, 422, "The address or the form is not as this page makes it."
                    )

            return shown

    routes = Routes(pages=True)
    routes.router.route_class = PageRoute
    return routes


async def error_page(pages: Pages, request: Request, status: int, sentence: str) -> Response:
    """An error as a page, or as a line where only a part was asked for."""
    request.state.principal = getattr(request.state, "principal", None)
    template = "error_part.html" if "HX-Request" in request.headers else "error.html"
    return await pages.show(
        request, template, status=status, error_title=TITLES.get(status, "Something went wrong."), error=sentence
    )


def to_sign_in(request: Request) -> Response:
    """To the sign-in page, and back to a page that was read (never to an act)."""
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    target = f"/sign-in?then={quote(back if request.method == 'GET' else '/', safe='')}"
    if "HX-Request" in request.headers:
        return Response(status_code=204, headers={**HEADERS, "HX-Redirect": "/sign-in"})
    return RedirectResponse(target, 303, {**HEADERS})


def safe_then(then: str) -> str:
    """Where to go after signing in: a path of our own, or the Watch. ``//host`` and ``/\\host`` name other hosts."""
    return then if then.startswith("/") and not then.startswith(("//", "/\\")) and then.isprintable() else "/"
