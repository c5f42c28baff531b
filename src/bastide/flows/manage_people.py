"""People, and what they sign in with: accounts, one-time links, passwords, tokens, sessions and passkeys.

Every change is a ledger record; names and labels are in it as salted commitments only. No change may leave the
installation without an enabled admin of the whole fleet.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from bastide.core.audit import Personal
from bastide.core.error import NotFound
from bastide.flows.sign_in import Door
from bastide.governance.access import password as passwords
from bastide.governance.access import secret, token
from bastide.governance.access.error import AccessRefused
from bastide.governance.access.passkey import Passkey
from bastide.governance.access.person import Person, PersonId, check_names
from bastide.governance.access.principal import Means, Principal, permissions
from bastide.governance.access.roles import Permission, Role
from bastide.governance.access.scope import EVERYTHING, Scope
from bastide.governance.access.session import Session, SessionId
from bastide.governance.access.ticket import LIFE, Purpose, Ticket, TicketId
from bastide.governance.access.token import Token, TokenId

TOKENS_EACH = 50


@dataclass(frozen=True, slots=True)
class Change:
    """What to change of a person; None leaves it."""

    display: str | None = None
    role: Role | None = None
    scope: Scope | None = None
    enabled: bool | None = None


async def add_person(
    door: Door, asking: Principal, name: str, display: str, role: Role, scope: Scope = EVERYTHING
) -> tuple[Person, str]:
    """A new account and the text of its first sign-in link."""
    check_names(name, display)
    if await door.reads.person_named(name) is not None:
        raise AccessRefused(
            f"There is an account named {name!r} already; choose another name.", code="access:person:name"
        )
    person = Person(
        id=PersonId(door.ids.mint("p")),
        name=name,
        role=role,
        created_at=door.clock.now(),
        display=display,
        scope=scope,
    )
    async with door.units(asking.actor) as work:
        work.access.add_person(person)
        work.ledger.record("access:person:added", f"person:{person.id}", _facts(person) | {"name": Personal(name)})
    return person, await new_link(door, asking.actor, person)


async def change_person(door: Door, asking: Principal, id: PersonId, change: Change) -> Person:
    """Changes role, scope, name to show, or whether the account is enabled. Disabling ends its sessions at once."""
    person = await door.reads.person(id)
    now = door.clock.now()
    changed = replace(
        person,
        display=person.display if change.display is None else change.display,
        role=change.role or person.role,
        scope=person.scope if change.scope is None else change.scope,
        disabled_at=person.disabled_at
        if change.enabled is None
        else (None if change.enabled else person.disabled_at or now),
    )
    check_names(changed.name, changed.display)
    async with door.units(asking.actor) as work:
        work.access.put_person(changed)
        work.access.keep_an_admin()
        if not changed.enabled:
            work.access.end_sessions(id, now)
            work.access.void_tickets(id, Purpose.SIGN_IN_LINK, now)
        work.ledger.record("access:person:changed", f"person:{id}", _facts(changed))
    return changed


async def sign_in_link(door: Door, asking: Principal, id: PersonId) -> str:
    """The text of a new one-time sign-in link for somebody; older unused ones end."""
    return await new_link(door, asking.actor, await door.reads.person(id))


async def new_link(door: Door, actor: str, person: Person) -> str:
    """As :func:`sign_in_link`, in the name of ``actor``."""
    if not person.enabled:
        raise AccessRefused(
            "This account is disabled; enable it before making a sign-in link.", code="access:person:disabled"
        )
    now = door.clock.now()
    id = TicketId(door.ids.mint("l"))
    text = secret.compose(id, door.entropy.bytes(secret.SECRET_BYTES))
    expires_at = now + LIFE[Purpose.SIGN_IN_LINK]
    made = Ticket(id, Purpose.SIGN_IN_LINK, person.id, secret.digest(text), created_at=now, expires_at=expires_at)
    async with door.units(actor) as work:
        work.access.void_tickets(person.id, Purpose.SIGN_IN_LINK, now)
        work.access.add_ticket(made)
        facts = {"link": id, "expires_at": expires_at.isoformat()}
        work.ledger.record("access:link:made", f"person:{person.id}", facts)
    return text


async def set_password(door: Door, asking: Principal, current: str, new: str) -> None:
    """Sets the password of whoever asks and ends their other sessions. The current one is asked for where there is one,
    unless the session was opened by link or passkey (which is how a forgotten one is replaced)."""
    if asking.means is Means.TOKEN:
        raise AccessRefused(
            "A password is set by its owner, signed in; an API token cannot.", code="access:password:token"
        )
    person = await door.reads.person(asking.person)
    passwords.check(new, person.name)
    if (
        person.password
        and asking.means is Means.PASSWORD
        and not await door.passwords.holds(passwords.prepared(current), person.password)
    ):
        raise AccessRefused("The current password is not right.", code="access:password:current")
    hashed = await door.passwords.hash(passwords.prepared(new))
    now = door.clock.now()
    async with door.units(asking.actor) as work:
        work.access.put_person(replace(person, password=hashed))
        work.access.end_sessions(person.id, now, besides=SessionId(asking.session))
        work.ledger.record("access:password:set", f"person:{person.id}", {})


async def create_token(
    door: Door, asking: Principal, label: str, role: Role, scope: Scope, life: timedelta
) -> tuple[str, Token]:
    """A new API token of whoever asks: its text (shown once) and what is kept. It never may more than they may now, and
    one that another token makes does not outlive that one."""
    owner = await door.reads.person(asking.person)
    if not permissions(role, scope) <= asking.permissions or not scope.within(asking.scope):
        raise AccessRefused(
            "The new token would reach further than whoever asks for it; choose less.", code="access:token:scope"
        )
    if asking.means is Means.TOKEN:
        parent = await door.reads.token(TokenId(asking.actor.removeprefix("token:")))
        if parent is not None:
            life = min(life, parent[0].expires_at - door.clock.now())
    return await new_token(door, asking.actor, owner, label=label, role=role, scope=scope, life=life)


async def new_token(
    door: Door, actor: str, owner: Person, *, label: str, role: Role, scope: Scope, life: timedelta
) -> tuple[str, Token]:
    """As :func:`create_token`, in the name of ``actor``."""
    token.check_request(owner, label, role, scope, life)
    now = door.clock.now()
    id = TokenId(door.ids.mint("t"))
    bare = secret.compose(id, door.entropy.bytes(secret.SECRET_BYTES))
    made = Token(
        id=id,
        owner=owner.id,
        label=label.strip(),
        role=role,
        digest=secret.digest(bare),
        created_at=now,
        expires_at=now + life,
        scope=scope,
    )
    async with door.units(actor) as work:
        work.access.add_token(made, TOKENS_EACH)
        facts = {
            "owner": owner.id,
            "label": Personal(made.label),
            "role": role.value,
            "sites": list(scope.sites),
            "classes": list(scope.classes),
            "expires_at": made.expires_at.isoformat(),
        }
        work.ledger.record("access:token:made", f"token:{id}", facts)
    return token.PREFIX + bare, made


async def revoke_token(door: Door, asking: Principal, id: TokenId) -> Token:
    """Ends a token: one's own, or anybody's with ``people:change``. Others' are not found."""
    found = await door.reads.token(id)
    if found is None or not _mine_or_all(asking, found[0].owner):
        raise NotFound(f"There is no token {id} that you could revoke.")
    now = door.clock.now()
    async with door.units(asking.actor) as work:
        work.access.revoke_token(id, now)
        work.ledger.record("access:token:revoked", f"token:{id}", {"owner": found[0].owner})
    return replace(found[0], revoked_at=found[0].revoked_at or now)


async def end_session(door: Door, asking: Principal, id: SessionId) -> Session:
    """Ends a session: one's own, or anybody's with ``people:change``. Others' are not found."""
    found = await door.reads.session(id)
    if found is None or not _mine_or_all(asking, found[0].person):
        raise NotFound(f"There is no session {id} that you could end.")
    now = door.clock.now()
    async with door.units(asking.actor) as work:
        work.access.end_session(id, now)
        work.ledger.record("access:session:ended", f"person:{found[0].person}", {"session": id})
    return replace(found[0], ended_at=found[0].ended_at or now)


async def remove_passkey(door: Door, asking: Principal, id: str) -> Passkey:
    """Removes a passkey of whoever asks."""
    held = await door.reads.passkey(id)
    if held is None or held.person != asking.person:
        raise NotFound("There is no such passkey of yours.")
    async with door.units(asking.actor) as work:
        work.access.remove_passkey(asking.person, id)
        work.ledger.record("access:passkey:removed", f"person:{asking.person}", {"label": Personal(held.label)})
    return held


def _mine_or_all(asking: Principal, owner: PersonId) -> bool:
    return owner == asking.person or asking.may(Permission.PEOPLE_CHANGE)


def _facts(person: Person) -> dict[str, str | bool | list[str] | Personal]:
    return {
        "role": person.role.value,
        "sites": list(person.scope.sites),
        "classes": list(person.scope.classes),
        "enabled": person.enabled,
    }
