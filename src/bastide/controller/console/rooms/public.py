"""What may be read or done without being signed in: the static files, the door, and choosing dark or light."""

from typing import Annotated

from fastapi import Form, Request, Response
from fastapi.responses import RedirectResponse

from bastide.controller.api import access
from bastide.controller.api.access import Asking, Using
from bastide.controller.api.problems import status_of
from bastide.controller.api.routes import PUBLIC, SIGNED_IN, Routes
from bastide.controller.console.guard import safe_then
from bastide.controller.console.page import HEADERS, Pages
from bastide.flows import manage_people, sign_in
from bastide.governance.access.error import AccessRefused, NotPermitted
from bastide.governance.access.roles import Permission

FOREVER = "public, max-age=31536000, immutable"
Text = Annotated[str, Form(max_length=2048)]


def add(routes: Routes, pages: Pages) -> None:
    assets = pages.assets

    @routes.get("/static/{digest}/{path:path}", needs=PUBLIC)
    async def static_file(request: Request, digest: str, path: str) -> Response:
        asset = assets.by_path.get(path)
        if asset is None:
            return Response("There is no such file.", 404, {**HEADERS}, "text/plain")
        # A page of an older version may still ask for its own files: it gets the present ones, and does not keep them.
        cache = FOREVER if digest == assets.digest else "no-store"
        headers = {"Cache-Control": cache, "X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding"}
        if asset.packed and "gzip" in request.headers.get("Accept-Encoding", ""):
            return Response(asset.packed, 200, {**headers, "Content-Encoding": "gzip"}, asset.media_type)
        return Response(asset.content, 200, headers, asset.media_type)

    @routes.get("/sign-in", needs=PUBLIC)
    async def sign_in_page(request: Request, then: str = "/") -> Response:
        return await pages.show(request, "sign_in.html", then=safe_then(then), error="", name="")

    @routes.post("/sign-in", needs=PUBLIC)
    async def sign_in_by_password(
        request: Request, deps: Using, name: Text = "", password: Text = "", then: Text = "/"
    ) -> Response:
        try:
            opened = await sign_in.by_password(deps.door, name.strip(), password, access.visitor(request))
        except AccessRefused as error:
            return await pages.show(
                request, "sign_in.html", status=status_of(error), then=safe_then(then), error=error.sentence, name=name
            )
        response = RedirectResponse(safe_then(then), 303, {**HEADERS})
        access.keep(response, opened)
        return response

    # Reading the page uses nothing up: mail scanners and previews open links too. The button does.
    @routes.get("/sign-in/link/{link}", needs=PUBLIC)
    async def link_page(request: Request, link: str) -> Response:
        return await pages.show(request, "link.html", link=link[:256], error="")

    @routes.post("/sign-in/link/{link}", needs=PUBLIC)
    async def sign_in_by_link(request: Request, deps: Using, link: str) -> Response:
        try:
            opened = await sign_in.by_link(deps.door, link[:256], access.visitor(request))
        except AccessRefused as error:
            return await pages.show(request, "link.html", status=status_of(error), link="", error=error.sentence)
        response = RedirectResponse("/welcome" if not opened.person.password else "/", 303, {**HEADERS})
        access.keep(response, opened)
        return response

    @routes.get("/welcome", needs=SIGNED_IN)
    async def welcome_page(request: Request, asking: Asking) -> Response:
        return await pages.show(request, "welcome.html", name=asking.name, error="")

    @routes.post("/welcome", needs=Permission.ACCOUNT_OWN)
    async def first_password(
        request: Request, asking: Asking, deps: Using, password: Text = "", again: Text = ""
    ) -> Response:
        try:
            if not password or password != again:
                raise AccessRefused("Type the new password twice, the same both times.")
            await manage_people.set_password(deps.door, asking, "", password)
        except (AccessRefused, NotPermitted) as error:
            return await pages.show(
                request, "welcome.html", status=status_of(error), name=asking.name, error=error.sentence
            )
        return RedirectResponse("/welcome/passkey", 303, {**HEADERS})

    @routes.get("/welcome/passkey", needs=SIGNED_IN)
    async def offer_passkey(request: Request, asking: Asking, deps: Using) -> Response:
        return await pages.show(request, "welcome_passkey.html", name=asking.name, party=deps.door.party)

    @routes.post("/sign-out", needs=SIGNED_IN)
    async def sign_out(asking: Asking, deps: Using) -> Response:
        await sign_in.sign_out(deps.door, asking)
        response = RedirectResponse("/sign-in", 303, {**HEADERS})
        access.drop(response)
        return response
