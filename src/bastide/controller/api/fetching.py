"""Makers' MUD files: fetched when somebody asks, from where a device or a person says."""

from typing import Annotated

from pydantic import StringConstraints

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.devices import within_scope
from bastide.controller.api.models import Asked, NoControls
from bastide.controller.api.network import ProfileIn
from bastide.controller.api.proposals import WholeProposalOut, whole
from bastide.controller.api.routes import Routes, documented
from bastide.core.error import Refused
from bastide.core.ids import ProfileName
from bastide.flows.fetch_reach import Fetching, fetch_reach, url_of
from bastide.governance.access.roles import Permission


class FetchAsked(Asked):
    """One of the two: a MUD URL, or a device that was heard to name one."""

    url: Annotated[str, StringConstraints(max_length=500), NoControls] = ""
    device: Annotated[str, StringConstraints(pattern=r"^(|d-[a-z2-7]{20})$")] = ""


def fetch_routes(fetching: Fetching) -> Routes:
    """The fetch, over whatever fetches."""
    routes = Routes("", "network")

    @routes.post(
        "/profiles/{profile}/fetch", needs=Permission.PROFILE_CHANGE, status_code=201, responses={404: documented(404)}
    )
    async def fetch_profile(profile: ProfileIn, asked: FetchAsked, asking: Asking, deps: Using) -> WholeProposalOut:
        """Fetches a maker's MUD file with its signature; it waits for a person to approve it."""
        if bool(asked.url) is bool(asked.device):
            raise Refused("Name a MUD URL, or a device that was heard to name one.", code="mud:fetch:asked")
        url = asked.url
        if asked.device:
            found = await within_scope(asked.device, asking, deps)
            url = await url_of(found.id, deps.governing)
        made = await fetch_reach(ProfileName(profile), url, asking.actor, deps.governing, fetching, deps.ids)
        return await whole(made, deps.governing)

    return routes
