"""``/``: the Watch."""

from fastapi import Request, Response

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.routes import Routes
from bastide.controller.console.page import Pages, reader
from bastide.controller.console.views.watch import watch
from bastide.governance.access.roles import Permission


def add(routes: Routes, pages: Pages) -> None:
    @routes.get("/", needs=Permission.FLEET_READ)
    async def watch_page(request: Request, asking: Asking, deps: Using) -> Response:
        found = await watch(deps.governing.stores, deps.ledger, reader(deps, asking), deps.clock.now())
        return await pages.show(request, "watch.html", "watch", watch=found)

    @routes.get("/rooms", needs=Permission.FLEET_READ)
    async def rooms(request: Request) -> Response:
        """The list of rooms with its count, for a page that is open."""
        return await pages.show(request, "rooms.html", "", whole=True)
