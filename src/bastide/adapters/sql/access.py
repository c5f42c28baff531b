"""People and how they show who they are."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select, update

from bastide.adapters.sql.columns import dump, load
from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.schema.access import failures, passkeys, people, sessions, tickets, tokens
from bastide.core.error import Conflict, NotFound
from bastide.governance.access.passkey import Passkey
from bastide.governance.access.person import Person, PersonId
from bastide.governance.access.principal import Means
from bastide.governance.access.roles import Role
from bastide.governance.access.scope import EVERYTHING, Scope
from bastide.governance.access.session import Session, SessionId
from bastide.governance.access.ticket import Purpose, Ticket, TicketId
from bastide.governance.access.token import Token, TokenId


class AccessWrites:
    """Implements ports.platform.access.AccessWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def add_person(self, person: Person) -> None:
        self._run(insert(people).values(_person_row(person)))

    def put_person(self, person: Person) -> None:
        row = _person_row(person)
        values = {name: row[name] for name in ("name", "display", "role", "scope", "password", "disabled_at")}
        self._one(update(people).where(people.c.id == person.id).values(values), f"There is no person {person.id}.")

    def keep_an_admin(self) -> None:
        # Locked, so that on PostgreSQL two controllers cannot each take the other's last one (write skew).
        admins = (
            select(people.c.id)
            .where(
                people.c.role == Role.ADMIN.value, people.c.disabled_at.is_(None), people.c.scope == dump(EVERYTHING)
            )
            .with_for_update()
        )

        def apply(connection: Connection) -> None:
            if not connection.execute(admins).all():
                raise Conflict(
                    "This would leave nobody who is an admin of the whole fleet; make somebody else one first."
                )

        self._unit.change(apply)

    def add_session(self, session: Session, keep: int) -> None:
        of_person = and_(sessions.c.person == session.person, sessions.c.ended_at.is_(None))
        kept = select(sessions.c.id).where(of_person).order_by(sessions.c.created_at.desc(), sessions.c.id).limit(keep)
        row = {
            "id": session.id,
            "person": session.person,
            "digest": session.digest,
            "means": session.means.value,
            "address": session.address,
            "agent": session.agent,
            "created_at": session.created_at,
            "last_used": session.last_used,
            "ended_at": session.ended_at,
        }

        def apply(connection: Connection) -> None:
            connection.execute(insert(sessions).values(row))
            keepers = [found.id for found in connection.execute(kept)]
            older = update(sessions).where(of_person, sessions.c.id.not_in(keepers))
            connection.execute(older.values(ended_at=session.created_at))

        self._unit.change(apply)

    def touch_session(self, id: SessionId, last_used: datetime) -> None:
        later = and_(sessions.c.id == id, sessions.c.last_used < last_used)
        self._run(update(sessions).where(later).values(last_used=last_used))

    def end_session(self, id: SessionId, at: datetime) -> None:
        self._run(update(sessions).where(sessions.c.id == id, sessions.c.ended_at.is_(None)).values(ended_at=at))

    def end_sessions(self, person: PersonId, at: datetime, besides: SessionId | None = None) -> None:
        which = and_(sessions.c.person == person, sessions.c.ended_at.is_(None), sessions.c.id != (besides or ""))
        self._run(update(sessions).where(which).values(ended_at=at))

    def add_token(self, token: Token, keep: int) -> None:
        live = select(func.count()).where(
            tokens.c.owner == token.owner, tokens.c.revoked_at.is_(None), tokens.c.expires_at > token.created_at
        )
        row = {
            "id": token.id,
            "owner": token.owner,
            "label": token.label,
            "role": token.role.value,
            "scope": dump(token.scope),
            "digest": token.digest,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
            "revoked_at": token.revoked_at,
            "last_used": token.last_used,
        }

        def apply(connection: Connection) -> None:
            if connection.execute(live).scalar_one() >= keep:
                raise Conflict(f"There are {keep} live tokens of this owner already; revoke one that is not needed.")
            connection.execute(insert(tokens).values(row))

        self._unit.change(apply)

    def touch_token(self, id: TokenId, last_used: datetime) -> None:
        later = or_(tokens.c.last_used.is_(None), tokens.c.last_used < last_used)
        self._run(update(tokens).where(tokens.c.id == id, later).values(last_used=last_used))

    def revoke_token(self, id: TokenId, at: datetime) -> None:
        self._run(update(tokens).where(tokens.c.id == id, tokens.c.revoked_at.is_(None)).values(revoked_at=at))

    def add_ticket(self, ticket: Ticket) -> None:
        row = {
            "id": ticket.id,
            "purpose": ticket.purpose.value,
            "person": ticket.person,
            "digest": ticket.digest,
            "created_at": ticket.created_at,
            "expires_at": ticket.expires_at,
            "used_at": ticket.used_at,
        }
        self._run(insert(tickets).values(row))

    def use_ticket(self, id: TicketId, purpose: Purpose, at: datetime) -> None:
        good = and_(
            tickets.c.id == id,
            tickets.c.purpose == purpose.value,
            tickets.c.used_at.is_(None),
            tickets.c.expires_at > at,
        )
        self._one(update(tickets).where(good).values(used_at=at), "This was used already, or its time is over.")

    def void_tickets(self, person: PersonId, purpose: Purpose, at: datetime) -> None:
        unused = and_(tickets.c.person == person, tickets.c.purpose == purpose.value, tickets.c.used_at.is_(None))
        self._run(update(tickets).where(unused).values(used_at=at))

    def add_passkey(self, passkey: Passkey, keep: int) -> None:
        held = select(func.count()).where(passkeys.c.person == passkey.person)
        row = {
            "id": passkey.id,
            "person": passkey.person,
            "public_key": passkey.public_key,
            "sign_count": passkey.sign_count,
            "label": passkey.label,
            "created_at": passkey.created_at,
            "last_used": passkey.last_used,
        }

        def apply(connection: Connection) -> None:
            if connection.execute(held).scalar_one() >= keep:
                raise Conflict(f"There are {keep} passkeys already; remove one that is not needed.")
            connection.execute(insert(passkeys).values(row))

        self._unit.change(apply)

    def used_passkey(self, id: str, before: int, sign_count: int, at: datetime) -> None:
        same = and_(passkeys.c.id == id, passkeys.c.sign_count == before)
        statement = update(passkeys).where(same).values(sign_count=sign_count, last_used=at)
        self._one(statement, "This passkey was used or removed at the same moment; try again.")

    def remove_passkey(self, person: PersonId, id: str) -> None:
        statement = delete(passkeys).where(passkeys.c.id == id, passkeys.c.person == person)
        self._one(statement, "There is no such passkey any more.")

    def failed(self, keys: Sequence[str], at: datetime) -> None:
        for key in keys:
            self._run(insert(failures).values(key=key, at=at))

    def succeeded(self, keys: Sequence[str]) -> None:
        self._run(delete(failures).where(failures.c.key.in_(keys)))

    def forget(self, before: datetime) -> None:
        self._run(delete(sessions).where(or_(sessions.c.ended_at < before, sessions.c.last_used < before)))
        self._run(delete(tickets).where(tickets.c.expires_at < before))
        self._run(delete(failures).where(failures.c.at < before))

    def _run(self, statement: Any) -> None:
        def apply(connection: Connection) -> None:
            connection.execute(statement)

        self._unit.change(apply)

    def _one(self, statement: Any, otherwise: str) -> None:
        def apply(connection: Connection) -> None:
            if connection.execute(statement).rowcount != 1:
                raise Conflict(otherwise)

        self._unit.change(apply)


class AccessReads:
    """Implements ports.platform.access.AccessReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def person(self, id: PersonId) -> Person:
        row = await self._first(select(people).where(people.c.id == id))
        if row is None:
            raise NotFound(f"There is no person {id}. `bastide people list` shows those that there are.")
        return _person(row)

    async def person_named(self, name: str) -> Person | None:
        row = await self._first(select(people).where(people.c.name == name))
        return _person(row) if row else None

    async def people(self, limit: int, after: str = "") -> Sequence[Person]:
        query = select(people).where(people.c.name > after).order_by(people.c.name).limit(limit)
        return [_person(row) for row in await self._all(query)]

    async def session(self, id: SessionId) -> tuple[Session, Person] | None:
        def ask(connection: Connection) -> tuple[Session, Person] | None:
            row = connection.execute(select(sessions).where(sessions.c.id == id)).first()
            whose = row and connection.execute(select(people).where(people.c.id == row.person)).first()
            return (_session(row), _person(whose)) if row and whose else None

        return await self._database.read(ask)

    async def sessions(self, person: PersonId) -> Sequence[Session]:
        live = select(sessions).where(sessions.c.person == person, sessions.c.ended_at.is_(None))
        return [_session(row) for row in await self._all(live.order_by(sessions.c.created_at.desc()))]

    async def token(self, id: TokenId) -> tuple[Token, Person] | None:
        def ask(connection: Connection) -> tuple[Token, Person] | None:
            row = connection.execute(select(tokens).where(tokens.c.id == id)).first()
            owner = row and connection.execute(select(people).where(people.c.id == row.owner)).first()
            return (_token(row), _person(owner)) if row and owner else None

        return await self._database.read(ask)

    async def tokens(self, owner: PersonId | None, limit: int, after: str = "") -> Sequence[Token]:
        query = select(tokens).where(tokens.c.id > after)
        if owner is not None:
            query = query.where(tokens.c.owner == owner)
        return [_token(row) for row in await self._all(query.order_by(tokens.c.id).limit(limit))]

    async def ticket(self, id: TicketId) -> Ticket | None:
        row = await self._first(select(tickets).where(tickets.c.id == id))
        return _ticket(row) if row else None

    async def passkey(self, id: str) -> Passkey | None:
        row = await self._first(select(passkeys).where(passkeys.c.id == id))
        return _passkey(row) if row else None

    async def passkeys(self, person: PersonId) -> Sequence[Passkey]:
        query = select(passkeys).where(passkeys.c.person == person).order_by(passkeys.c.created_at, passkeys.c.id)
        return [_passkey(row) for row in await self._all(query)]

    async def failures(self, keys: Sequence[str], since: datetime, each: int) -> Mapping[str, Sequence[datetime]]:
        def ask(connection: Connection) -> dict[str, list[datetime]]:
            newest = select(failures.c.at).order_by(failures.c.at.desc()).limit(each)
            return {
                key: [row.at for row in connection.execute(newest.where(failures.c.key == key, failures.c.at > since))]
                for key in keys
            }

        return await self._database.read(ask)

    async def _first(self, query: Any) -> Row[Any] | None:
        return await self._database.read(lambda connection: connection.execute(query).first())

    async def _all(self, query: Any) -> Sequence[Row[Any]]:
        return await self._database.read(lambda connection: connection.execute(query).all())


def _person_row(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "name": person.name,
        "display": person.display,
        "role": person.role.value,
        "scope": dump(person.scope),
        "password": person.password,
        "created_at": person.created_at,
        "disabled_at": person.disabled_at,
    }


def _person(row: Row[Any]) -> Person:
    return Person(
        id=PersonId(row.id),
        name=row.name,
        display=row.display,
        role=Role(row.role),
        scope=load(row.scope, Scope),
        password=row.password,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
    )


def _session(row: Row[Any]) -> Session:
    return Session(
        id=SessionId(row.id),
        person=PersonId(row.person),
        digest=bytes(row.digest),
        means=Means(row.means),
        address=row.address,
        agent=row.agent,
        created_at=row.created_at,
        last_used=row.last_used,
        ended_at=row.ended_at,
    )


def _token(row: Row[Any]) -> Token:
    return Token(
        id=TokenId(row.id),
        owner=PersonId(row.owner),
        label=row.label,
        role=Role(row.role),
        scope=load(row.scope, Scope),
        digest=bytes(row.digest),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used=row.last_used,
    )


def _ticket(row: Row[Any]) -> Ticket:
    return Ticket(
        id=TicketId(row.id),
        purpose=Purpose(row.purpose),
        person=None if row.person is None else PersonId(row.person),
        digest=bytes(row.digest),
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
    )


def _passkey(row: Row[Any]) -> Passkey:
    return Passkey(
        id=row.id,
        person=PersonId(row.person),
        public_key=bytes(row.public_key),
        sign_count=row.sign_count,
        label=row.label,
        created_at=row.created_at,
        last_used=row.last_used,
    )
