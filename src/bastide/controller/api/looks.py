"""Active looks: ``bastide look`` says what it is about to do before it does it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.models import Answer, Name, NoControls
from bastide.controller.api.routes import Routes
from bastide.core.ids import SiteName
from bastide.flows.describe_kinds import MAIN_SITE
from bastide.flows.record_look import begin_look, end_look
from bastide.governance.access.error import NotPermitted
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission
from bastide.operations.inventory.looking import IN_ALL, PER_HOST

routes = Routes("/looks", "scans")

Count = Annotated[int, Field(ge=0, le=2**31, strict=True)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=64), NoControls]


class LookIn(BaseModel):
    """Which ranges are about to be asked, and on which ports."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    site: Name = Field(default=str(MAIN_SITE))
    ranges: Annotated[list[Text], Field(min_length=1, max_length=256)]
    ports: Annotated[list[Text], Field(min_length=1, max_length=256)]
    per_host: Annotated[int, Field(ge=1, le=PER_HOST, strict=True)]
    in_all: Annotated[int, Field(ge=1, le=IN_ALL, strict=True)]


class LookOut(Answer):
    look: str


class LookEndIn(BaseModel):
    """What came of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: Name = Field(default=str(MAIN_SITE))
    hosts: Count
    probes: Count
    answers: Count


@routes.post("", needs=Permission.SCAN_SUBMIT, status_code=201)
async def begin(asked: LookIn, asking: Asking, deps: Using) -> LookOut:
    """Records an active look before its first packet is sent."""
    _within(asking, asked.site)
    look = await begin_look(
        asked.source,
        SiteName(asked.site),
        asked.ranges,
        asked.ports,
        (asked.per_host, asked.in_all),
        asking.actor,
        deps.governing,
        deps.ids,
    )
    return LookOut(look=look)


@routes.post("/{look}/end", needs=Permission.SCAN_SUBMIT)
async def end(look: str, asked: LookEndIn, asking: Asking, deps: Using) -> LookOut:
    """Records what came of an active look."""
    _within(asking, asked.site)
    await end_look(
        look[:64], SiteName(asked.site), asked.hosts, asked.probes, asked.answers, asking.actor, deps.governing
    )
    return LookOut(look=look[:64])


def _within(asking: Principal, site: str) -> None:
    if asking.scope.classes or (asking.scope.sites and site not in asking.scope.sites):
        raise NotPermitted("The look would be outside your sites and classes; name a site of yours.")
