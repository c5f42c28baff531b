"""Signing in and being known: by one-time link, password or passkey, then by the session's cookie or an API token.

Whoever guesses learns nothing: an unknown name, a wrong password and an account without one cost the same time and give
the same sentence. A failed password is counted before it is checked, so that many tries at once do not get past the
count; a right one takes the count back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from bastide.core.audit import Personal
from bastide.core.error import Conflict
from bastide.governance.access import passkey as passkeys
from bastide.governance.access import secret, session, throttle, token
from bastide.governance.access.error import AccessRefused, NotSignedIn, TryLater
from bastide.governance.access.passkey import RelyingParty
from bastide.governance.access.password import prepared
from bastide.governance.access.person import Person, PersonId
from bastide.governance.access.principal import Means, Principal
from bastide.governance.access.session import Session, SessionId
from bastide.governance.access.ticket import LIFE, Purpose, Ticket, TicketId
from bastide.governance.access.token import TokenId
from bastide.ports.clock import Clock, Entropy, Ids
from bastide.ports.platform.access import AccessReads, AccessUnitsOfWork, Passwords

TOKEN_TOUCH_EVERY = timedelta(minutes=10)
LONGEST_PASSWORD_TRIED = 1024
# What has ended stays this long for whoever looks into a sign-in; the ledger keeps its record.
FORGOTTEN_AFTER = timedelta(days=2)

_UNKNOWN = "The session or token is not known here, or has ended; sign in again."
_WRONG = "The name and the password do not belong together."


@dataclass(frozen=True, slots=True)
class Door:
    """What the flows of access need. ``party`` is how browsers know the console (passkeys)."""

    reads: AccessReads
    units: AccessUnitsOfWork
    passwords: Passwords
    clock: Clock
    ids: Ids
    entropy: Entropy
    party: RelyingParty


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a sign-in comes from: ``address`` is the peer's IP address, ``agent`` what the browser calls itself."""

    address: str
    agent: str = ""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """``text`` is the cookie's value; it is nowhere else afterwards."""

    text: str
    session: Session
    person: Person


async def known_by_session(door: Door, text: str) -> Principal:
    """In whose name the holder of a session cookie asks. ``NotSignedIn`` where it does not hold (any more)."""
    id = secret.handle(text, "s")
    found = await door.reads.session(SessionId(id)) if id else None
    now = door.clock.now()
    if found is None or not secret.is_it(text, found[0].digest):
        raise NotSignedIn(_UNKNOWN)
    kept, person = found
    if not kept.live_at(now) or not person.enabled:
        raise NotSignedIn(_UNKNOWN)
    if kept.worth_touching(now):
        async with door.units(f"person:{person.id}") as work:
            work.access.touch_session(kept.id, now)
    return session.principal(kept, person)


async def known_by_token(door: Door, text: str) -> Principal:
    """In whose name the holder of an API token asks. ``NotSignedIn`` where it does not hold (any more)."""
    bare = text.removeprefix(token.PREFIX)
    id = secret.handle(bare, "t") if bare is not text else None
    found = await door.reads.token(TokenId(id)) if id else None
    now = door.clock.now()
    if found is None or not secret.is_it(bare, found[0].digest):
        raise NotSignedIn(_UNKNOWN)
    kept, owner = found
    if not kept.live_at(now) or not owner.enabled:
        raise NotSignedIn(_UNKNOWN)
    if kept.last_used is None or now >= kept.last_used + TOKEN_TOUCH_EVERY:
        async with door.units(f"token:{kept.id}") as work:
            work.access.touch_token(kept.id, now)
    return token.principal(kept, owner)


async def by_link(door: Door, text: str, visitor: Visitor) -> SignedIn:
    """Opens a session with a one-time link. Of two at once only one wins."""
    held = await _ticket(door, text, "l", Purpose.SIGN_IN_LINK)
    person = await door.reads.person(held.person) if held and held.person else None
    if held is None or person is None or not person.enabled:
        raise AccessRefused(
            "This sign-in link was used already, has expired, or is not one of this installation's; "
            "`bastide sign-in link` on the machine makes a new one.",
            code="access:link:refused",
        )
    return await _open(door, person, Means.LINK, visitor, ticket=held)


async def by_password(door: Door, name: str, password: str, visitor: Visitor) -> SignedIn:
    """Opens a session with name and password. ``TryLater`` after too many failures, ``AccessRefused`` on a wrong one."""
    now = door.clock.now()
    limits = throttle.keys(name, network(visitor.address))
    counted = await door.reads.failures(list(limits), now - throttle.LONGEST_WINDOW, throttle.MOST_COUNTED)
    pause = throttle.wait(limits, counted, now)
    if pause > timedelta(0):
        raise TryLater(pause)
    async with door.units("system:access") as work:
        work.access.failed(list(limits), now)
    person = await door.reads.person_named(name)
    usable = person is not None and person.enabled and len(password) <= LONGEST_PASSWORD_TRIED
    kept = person.password if person is not None and usable else ""
    if not await door.passwords.holds(prepared(password)[:LONGEST_PASSWORD_TRIED], kept) or person is None:
        async with door.units("system:access") as work:
            subject = f"person:{person.id}" if person else "person:unknown"
            facts = {"name": Personal(name[:63]), "address": Personal(visitor.address)}
            work.ledger.record("access:sign-in:failed", subject, facts)
        raise AccessRefused(_WRONG, code="access:sign-in:wrong")
    if door.passwords.outdated(person.password):
        person = replace(person, password=await door.passwords.hash(prepared(password)))
        async with door.units("system:access") as work:
            work.access.put_person(person)
    return await _open(door, person, Means.PASSWORD, visitor, forgive=tuple(limits))


async def passkey_sign_in_options(door: Door, visitor: Visitor) -> tuple[str, dict[str, Any]]:
    """A challenge (to be handed back with the answer) and what the browser's ``credentials.get`` is called with.

    Anybody may ask for one and each is a row, so an address that only asks has to wait (``TryLater``).
    """
    now, limits = door.clock.now(), throttle.challenge_keys(network(visitor.address))
    counted = await door.reads.failures(list(limits), now - throttle.LONGEST_WINDOW, throttle.MOST_COUNTED)
    pause = throttle.wait(limits, counted, now)
    if pause > timedelta(0):
        raise TryLater(pause)
    async with door.units("system:access") as work:
        work.access.failed(list(limits), now)
    text = await _challenge(door, Purpose.PASSKEY_SIGN_IN, None)
    return text, passkeys.sign_in_options(door.party, text.encode())


async def by_passkey(door: Door, challenge: str, answer: Mapping[str, Any], visitor: Visitor) -> SignedIn:
    """Opens a session with a passkey's answer to a challenge of :func:`passkey_sign_in_options`."""
    held = await _ticket(door, challenge, "c", Purpose.PASSKEY_SIGN_IN)
    passkey = await door.reads.passkey(passkeys.credential_id(answer)) if held else None
    person = await door.reads.person(passkey.person) if passkey else None
    if held is None or passkey is None or person is None or not person.enabled:
        raise AccessRefused(
            "This passkey is not registered here, or the sign-in took longer than five minutes; try again.",
            code="access:passkey:refused",
        )
    count = passkeys.used(door.party, passkey, answer, challenge.encode())
    return await _open(
        door, person, Means.PASSKEY, visitor, ticket=held, passkey=(passkey.id, passkey.sign_count, count)
    )


async def passkey_registration_options(door: Door, asking: Principal) -> tuple[str, dict[str, Any]]:
    """A challenge and what the browser's ``credentials.create`` is called with."""
    person = await door.reads.person(asking.person)
    held = await door.reads.passkeys(asking.person)
    text = await _challenge(door, Purpose.PASSKEY_REGISTRATION, asking.person)
    return text, passkeys.registration_options(door.party, person, held, text.encode())


async def register_passkey(
    door: Door, asking: Principal, challenge: str, answer: Mapping[str, Any], label: str
) -> passkeys.Passkey:
    """Keeps the passkey that the browser made for whoever asks."""
    held = await _ticket(door, challenge, "c", Purpose.PASSKEY_REGISTRATION)
    if held is None or held.person != asking.person:
        raise AccessRefused(
            "The registration took longer than five minutes or was not begun here; begin again.",
            code="access:passkey:refused",
        )
    person = await door.reads.person(asking.person)
    now = door.clock.now()
    made = passkeys.registered(door.party, person, answer, challenge.encode(), label, now)
    async with door.units(asking.actor) as work:
        work.access.use_ticket(held.id, held.purpose, now)
        work.access.add_passkey(made, passkeys.PASSKEYS_EACH)
        work.ledger.record("access:passkey:registered", f"person:{person.id}", {"label": Personal(made.label)})
    return made


async def sign_out(door: Door, asking: Principal) -> None:
    """Ends the session that asks."""
    now = door.clock.now()
    async with door.units(asking.actor) as work:
        work.access.end_session(SessionId(asking.session), now)
        work.ledger.record("access:session:ended", f"person:{asking.person}", {"session": asking.session})


def network(address: str) -> str:
    """The address as failures are counted under it: an IPv6 customer has a whole /64, so that is one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    return str(ip_network(f"{parsed}/64", strict=False)) if parsed.version == 6 else str(parsed)


async def _open(
    door: Door,
    person: Person,
    means: Means,
    visitor: Visitor,
    *,
    ticket: Ticket | None = None,
    passkey: tuple[str, int, int] | None = None,
    forgive: tuple[str, ...] = (),
) -> SignedIn:
    """One transaction: what was shown is used up, and the session is there."""
    now = door.clock.now()
    id = SessionId(door.ids.mint("s"))
    text = secret.compose(id, door.entropy.bytes(secret.SECRET_BYTES))
    opened = Session(
        id=id,
        person=person.id,
        digest=secret.digest(text),
        means=means,
        created_at=now,
        last_used=now,
        address=visitor.address[:64],
        agent="".join(sign for sign in visitor.agent[:200] if sign.isprintable()),
    )
    try:
        async with door.units(f"person:{person.id}") as work:
            if ticket is not None:
                work.access.use_ticket(ticket.id, ticket.purpose, now)
            if passkey is not None:
                work.access.used_passkey(passkey[0], passkey[1], passkey[2], now)
            if forgive:
                work.access.succeeded(list(forgive))
            work.access.forget(now - FORGOTTEN_AFTER)
            work.access.add_session(opened, session.SESSIONS_EACH)
            facts = {"session": id, "means": means.value, "address": Personal(visitor.address)}
            work.ledger.record("access:session:opened", f"person:{person.id}", facts)
    except Conflict as error:
        raise AccessRefused(error.sentence, code="access:sign-in:used") from error
    return SignedIn(text=text, session=opened, person=person)


async def _challenge(door: Door, purpose: Purpose, person: PersonId | None) -> str:
    now = door.clock.now()
    id = TicketId(door.ids.mint("c"))
    text = secret.compose(id, door.entropy.bytes(secret.SECRET_BYTES))
    made = Ticket(
        id=id,
        purpose=purpose,
        person=person,
        digest=secret.digest(text),
        created_at=now,
        expires_at=now + LIFE[purpose],
    )
    async with door.units("system:access") as work:
        work.access.forget(now - FORGOTTEN_AFTER)
        work.access.add_ticket(made)
    return text


async def _ticket(door: Door, text: str, kind: str, purpose: Purpose) -> Ticket | None:
    """The ticket that a text is, where it is good now for that purpose."""
    id = secret.handle(text, kind)
    held = await door.reads.ticket(TicketId(id)) if id else None
    if held is None or held.purpose is not purpose or not secret.is_it(text, held.digest):
        return None
    return held if held.good_at(door.clock.now()) else None
