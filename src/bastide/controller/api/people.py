"""People: accounts, their roles and scopes, their sign-in links and sessions. For admins; auditors may read."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import Field

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.account import ScopeModel, ScopeOut, SessionOut, session_out
from bastide.controller.api.models import Answer, Asked, Limit, Name, Page, page
from bastide.controller.api.routes import Routes
from bastide.flows import manage_people
from bastide.flows.manage_people import Change
from bastide.governance.access.person import Person, PersonId
from bastide.governance.access.roles import Permission, Role
from bastide.governance.access.ticket import LIFE, Purpose

routes = Routes("/people", "people")

PersonIn = Annotated[str, Path(pattern=r"^p-[a-z2-7]{20}$", description="The person's id.")]
Display = Annotated[str, Field(max_length=120)]


class PersonOut(Answer):
    id: str
    name: str
    display: str
    role: Role
    scope: ScopeOut
    created_at: datetime
    disabled_at: datetime | None
    has_password: bool
    passkeys: int | None = Field(default=None, description="How many; only where one person is shown.")


class LinkOut(Answer):
    """``link`` opens one session, once, until ``expires_at``; ``path`` is where the console takes it."""

    link: str
    path: str
    expires_at: datetime


class NewPersonOut(Answer):
    person: PersonOut
    sign_in: LinkOut


class NewPersonIn(Asked):
    name: Name
    display: Display = ""
    role: Role = Role.VIEWER
    scope: ScopeModel = ScopeModel()


class PersonChangeIn(Asked):
    """What is left out or null stays as it is."""

    display: Display | None = None
    role: Role | None = None
    scope: ScopeModel | None = None
    enabled: Annotated[bool, Field(strict=True)] | None = None


@routes.get("", needs=Permission.PEOPLE_READ)
async def list_people(
    deps: Using,
    after: Annotated[str, Query(max_length=63, description="`next` of the page before.")] = "",
    limit: Limit = 100,
) -> Page[PersonOut]:
    """All accounts, ordered by name."""
    found = await deps.door.reads.people(limit, after)
    return page([_person(one) for one in found], limit, found[-1].name if found else "")


@routes.post("", needs=Permission.PEOPLE_CHANGE, status_code=201)
async def add_person(asked: NewPersonIn, asking: Asking, deps: Using) -> NewPersonOut:
    """A new account, and the link with which its owner signs in first."""
    person, link = await manage_people.add_person(
        deps.door, asking, asked.name, asked.display, asked.role, asked.scope.scope()
    )
    return NewPersonOut(person=_person(person), sign_in=_link(link, deps.clock.now()))


@routes.get("/{person}", needs=Permission.PEOPLE_READ)
async def show_person(person: PersonIn, deps: Using) -> PersonOut:
    """One account."""
    found = await deps.door.reads.person(PersonId(person))
    return _person(found, len(await deps.door.reads.passkeys(found.id)))


@routes.patch("/{person}", needs=Permission.PEOPLE_CHANGE)
async def change_person(person: PersonIn, asked: PersonChangeIn, asking: Asking, deps: Using) -> PersonOut:
    """Changes role, scope or name, or disables the account, which ends its sessions and tokens at once."""
    change = Change(
        display=asked.display,
        role=asked.role,
        scope=None if asked.scope is None else asked.scope.scope(),
        enabled=asked.enabled,
    )
    return _person(await manage_people.change_person(deps.door, asking, PersonId(person), change))


@routes.post("/{person}/sign-in-links", needs=Permission.PEOPLE_CHANGE, status_code=201)
async def make_sign_in_link(person: PersonIn, asking: Asking, deps: Using) -> LinkOut:
    """A new one-time sign-in link; older unused ones end."""
    return _link(await manage_people.sign_in_link(deps.door, asking, PersonId(person)), deps.clock.now())


@routes.get("/{person}/sessions", needs=Permission.PEOPLE_READ)
async def list_sessions(person: PersonIn, deps: Using) -> Page[SessionOut]:
    """Somebody's open sessions."""
    found = await deps.door.reads.person(PersonId(person))
    now = deps.clock.now()
    return Page(items=[session_out(one) for one in await deps.door.reads.sessions(found.id) if one.live_at(now)])


def _person(person: Person, passkeys: int | None = None) -> PersonOut:
    return PersonOut(
        id=person.id,
        name=person.name,
        display=person.display,
        role=person.role,
        scope=ScopeOut.model_validate(person.scope, from_attributes=True),
        created_at=person.created_at,
        disabled_at=person.disabled_at,
        has_password=bool(person.password),
        passkeys=passkeys,
    )


def _link(text: str, now: datetime) -> LinkOut:
    return LinkOut(link=text, path=f"/sign-in/link/{text}", expires_at=now + LIFE[Purpose.SIGN_IN_LINK])
