"""``/network``: the map of whom devices speak to."""

from typing import Annotated

from fastapi import Query, Request, Response

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.routes import Routes
from bastide.controller.console.page import Pages, reader
from bastide.controller.console.views import network
from bastide.governance.access.roles import Permission
from bastide.operations.inventory.communication import Asked

Key = Annotated[str, Query(max_length=300)]
Hour = Annotated[int | None, Query(ge=0, le=10_000_000)]


def add(routes: Routes, pages: Pages) -> None:
    @routes.get("/network", needs=Permission.FLEET_READ)
    async def network_page(
        request: Request,
        asking: Asking,
        deps: Using,
        span: Key = "24h",
        since: Hour = None,
        until: Hour = None,
        group: Key = "class",
        opened: Key = "",
        peer: Key = "",
        protocol: Key = "",
    ) -> Response:
        now = deps.clock.now()
        asked = Asked(group if group in network.GROUPS else "class", opened, peer, protocol)
        shown = await network.map_page(
            deps.governing.stores, reader(deps, asking), network.span_of(span, since, until, now), asked, now
        )
        return await pages.show(
            request,
            "network.html",
            "network",
            shown=shown,
            spans=tuple(network.SPANS),
            groups=network.GROUPS,
            address=network.address,
            moment=network.moment,
            size=network.size,
            width=network.WIDTH,
        )
