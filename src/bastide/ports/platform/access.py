"""People, their credentials, sessions, tokens and tickets: reading them, and changing them within a unit of work."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from bastide.core.audit import Personal
from bastide.governance.access.passkey import Passkey
from bastide.governance.access.person import Person, PersonId
from bastide.governance.access.session import Session, SessionId
from bastide.governance.access.ticket import Purpose, Ticket, TicketId
from bastide.governance.access.token import Token, TokenId
from bastide.ports.platform.units import LedgerWrites


class AccessReads(Protocol):
    async def person(self, id: PersonId) -> Person:
        """``NotFound`` where there is none."""
        ...

    async def person_named(self, name: str) -> Person | None: ...

    async def people(self, limit: int, after: str = "") -> Sequence[Person]:
        """Ordered by name; ``after`` is the name that the last page ended with."""
        ...

    async def session(self, id: SessionId) -> tuple[Session, Person] | None:
        """The session and whose it is, in one read; None where there is none."""
        ...

    async def sessions(self, person: PersonId) -> Sequence[Session]:
        """Those not ended, newest first."""
        ...

    async def token(self, id: TokenId) -> tuple[Token, Person] | None:
        """The token and its owner, in one read; None where there is none."""
        ...

    async def tokens(self, owner: PersonId | None, limit: int, after: str = "") -> Sequence[Token]:
        """Of one owner or of all, ordered by id; ``after`` is the id that the last page ended with."""
        ...

    async def ticket(self, id: TicketId) -> Ticket | None: ...

    async def passkey(self, id: str) -> Passkey | None: ...

    async def passkeys(self, person: PersonId) -> Sequence[Passkey]: ...

    async def failures(self, keys: Sequence[str], since: datetime, each: int) -> Mapping[str, Sequence[datetime]]:
        """The times of failed sign-ins under each key, newest first, at most ``each`` of one."""
        ...


class AccessWrites(Protocol):
    def add_person(self, person: Person) -> None:
        """Conflict where the id or the name exists."""
        ...

    def put_person(self, person: Person) -> None:
        """Changes all but id and creation. Conflict where there is no such person or another has the name."""
        ...

    def keep_an_admin(self) -> None:
        """Conflict where, after this unit, no enabled admin without limits would be left."""
        ...

    def add_session(self, session: Session, keep: int) -> None:
        """Adds it and ends the person's oldest beyond ``keep``."""
        ...

    def touch_session(self, id: SessionId, last_used: datetime) -> None: ...

    def end_session(self, id: SessionId, at: datetime) -> None: ...

    def end_sessions(self, person: PersonId, at: datetime, besides: SessionId | None = None) -> None: ...

    def add_token(self, token: Token, keep: int) -> None:
        """Conflict where the owner has ``keep`` live ones already."""
        ...

    def touch_token(self, id: TokenId, last_used: datetime) -> None: ...

    def revoke_token(self, id: TokenId, at: datetime) -> None: ...

    def add_ticket(self, ticket: Ticket) -> None: ...

    def use_ticket(self, id: TicketId, purpose: Purpose, at: datetime) -> None:
        """Marks it used. Conflict unless it is there, for that purpose, unused and not past its end: only one wins."""
        ...

    def void_tickets(self, person: PersonId, purpose: Purpose, at: datetime) -> None:
        """Marks a person's unused ones used."""
        ...

    def add_passkey(self, passkey: Passkey, keep: int) -> None:
        """Conflict where the id exists or the person has ``keep`` already."""
        ...

    def used_passkey(self, id: str, before: int, sign_count: int, at: datetime) -> None:
        """Conflict unless the stored count is still ``before``."""
        ...

    def remove_passkey(self, person: PersonId, id: str) -> None:
        """Conflict where the person has none of that id."""
        ...

    def failed(self, keys: Sequence[str], at: datetime) -> None:
        """Counts a failed sign-in under each key."""
        ...

    def succeeded(self, keys: Sequence[str]) -> None:
        """Forgets the failures under each key."""
        ...

    def forget(self, before: datetime) -> None:
        """Removes sessions, tickets and failures that ended before then, so that no table grows without bound."""
        ...


class Passwords(Protocol):
    """Slow hashing, off the event loop and bounded in how many run at once."""

    async def hash(self, password: str) -> str:
        """The argon2id hash in PHC form. ``Unavailable`` where too many wait already."""
        ...

    async def holds(self, password: str, kept: str) -> bool:
        """Whether the password belongs to the hash. An empty hash costs the same time and never holds."""
        ...

    def outdated(self, kept: str) -> bool:
        """True where the hash was made with weaker parameters than today's."""
        ...


class AccessUnitOfWork(Protocol):
    """What the flows of access need of a unit of work."""

    @property
    def access(self) -> AccessWrites: ...
    @property
    def ledger(self) -> LedgerWrites: ...


class AccessUnitsOfWork(Protocol):
    def __call__(self, actor: str | Personal) -> AbstractAsyncContextManager[AccessUnitOfWork]:
        """As ``ports.platform.units.UnitsOfWork``."""
        ...
