"""The first run: an account for whoever installed this, a link to sign in with once, and the machine's own API token.

Whoever can read the data directory (0700) may act as the operator: the token file there is how the command line speaks to
the API. There is no default password; the link is the only way in until its holder sets one or registers a passkey.
"""

from dataclasses import dataclass
from datetime import timedelta

from bastide.core.audit import Personal
from bastide.core.error import Conflict
from bastide.flows.manage_people import new_link, new_token
from bastide.flows.sign_in import Door
from bastide.governance.access import secret, token
from bastide.governance.access.person import Person, PersonId
from bastide.governance.access.roles import Role
from bastide.governance.access.token import TokenId

OPERATOR = "operator"
LOCAL_TOKEN_LIFE = timedelta(days=365)
LOCAL_TOKEN_RENEWED = timedelta(days=30)
_ACTOR = "system:first-run"


@dataclass(frozen=True, slots=True)
class FirstRun:
    """``link`` is the text of the one-time sign-in link, good for 24 hours."""

    person: Person
    link: str


async def first_run(door: Door) -> FirstRun | None:
    """Makes the operator's account and its sign-in link where there are no people yet; None where there are."""
    if await door.reads.people(1):
        return None
    person = Person(
        id=PersonId(door.ids.mint("p")),
        name=OPERATOR,
        role=Role.ADMIN,
        created_at=door.clock.now(),
        display="Operator",
    )
    try:
        async with door.units(_ACTOR) as work:
            work.access.add_person(person)
            facts = {"name": Personal(person.name), "role": person.role.value}
            work.ledger.record("access:person:added", f"person:{person.id}", facts)
    except Conflict:  # another controller was first
        return None
    return FirstRun(person, await new_link(door, _ACTOR, person))


async def way_in(door: Door) -> str | None:
    """A new sign-in link for the first operator while nobody can sign in otherwise; None once somebody can."""
    started = await first_run(door)
    if started is not None:
        return started.link
    people = await door.reads.people(1000)
    for person in people:
        if person.password or await door.reads.passkeys(person.id):
            return None
    admins = [person for person in people if person.enabled and person.role is Role.ADMIN]
    return await new_link(door, _ACTOR, min(admins, key=lambda one: one.created_at)) if admins else None


async def local_token(door: Door, held: str) -> str:
    """The API token of the command line on this machine: the held one while it is good for a month or more, or a new
    one. Its owner is the oldest enabled admin without limits."""
    now = door.clock.now()
    bare = held.strip().removeprefix(token.PREFIX)
    id = secret.handle(bare, "t")
    found = await door.reads.token(TokenId(id)) if id else None
    if found is not None and secret.is_it(bare, found[0].digest):
        kept, owner = found
        if kept.live_at(now + LOCAL_TOKEN_RENEWED) and owner.enabled and owner.role is Role.ADMIN:
            return held.strip()
    people = await door.reads.people(1000)
    admins = [one for one in people if one.enabled and one.role is Role.ADMIN and one.scope.boundless]
    owner = min(admins, key=lambda one: one.created_at)
    text, _ = await new_token(
        door,
        _ACTOR,
        owner,
        label="command line on this machine",
        role=Role.ADMIN,
        scope=owner.scope,
        life=LOCAL_TOKEN_LIFE,
    )
    return text
