"""What access promises of its state, on SQLite and PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bastide.adapters.sql.access import AccessReads
from bastide.adapters.sql.database import Database
from bastide.adapters.sql.units import SQLUnitsOfWork
from bastide.core.error import Conflict, NotFound
from bastide.core.ids import SiteName
from bastide.governance.access.passkey import Passkey
from bastide.governance.access.person import Person, PersonId
from bastide.governance.access.principal import Means
from bastide.governance.access.roles import Role
from bastide.governance.access.scope import Scope
from bastide.governance.access.session import Session, SessionId
from bastide.governance.access.ticket import Purpose, Ticket, TicketId
from bastide.governance.access.token import Token, TokenId
from bastide.testing.clock import EPOCH, FakeClock, SequentialIds

HOUR = timedelta(hours=1)
ADA = Person(PersonId("p-ada"), "ada", Role.ADMIN, EPOCH, display="Ada")
BOB = Person(PersonId("p-bob"), "bob", Role.OPERATOR, EPOCH, scope=Scope(sites=(SiteName("lyon"),)))


@pytest.fixture
def units(database: Database) -> SQLUnitsOfWork:
    return SQLUnitsOfWork(database, FakeClock(), SequentialIds())


@pytest.fixture
async def reads(database: Database, units: SQLUnitsOfWork) -> AccessReads:
    async with units("test") as work:
        work.access.add_person(ADA)
        work.access.add_person(BOB)
    return AccessReads(database)


def _session(number: int, person: Person = ADA) -> Session:
    at = EPOCH + number * HOUR
    return Session(SessionId(f"s-{number}"), person.id, bytes(32), Means.PASSKEY, at, at, "192.0.2.1", "Firefox ®")


async def test_people_come_back_as_they_were_stored(reads: AccessReads, units: SQLUnitsOfWork) -> None:
    assert await reads.person(BOB.id) == BOB
    assert await reads.person_named("ada") == ADA
    assert await reads.person_named("eve") is None
    assert await reads.people(10) == [ADA, BOB]
    assert await reads.people(10, after="ada") == [BOB]
    changed = replace(BOB, role=Role.VIEWER, disabled_at=EPOCH, password="$argon2id$…", scope=Scope())
    async with units("test") as work:
        work.access.put_person(changed)
    assert await reads.person(BOB.id) == changed
    with pytest.raises(NotFound):
        await reads.person(PersonId("p-eve"))


async def test_a_name_belongs_to_one_person(reads: AccessReads, units: SQLUnitsOfWork) -> None:
    with pytest.raises(Conflict):
        async with units("test") as work:
            work.access.add_person(replace(ADA, id=PersonId("p-eve")))
    with pytest.raises(Conflict):
        async with units("test") as work:
            work.access.put_person(replace(BOB, id=PersonId("p-eve")))
    assert len(await reads.people(10)) == 2


async def test_no_unit_leaves_the_fleet_without_an_admin(reads: AccessReads, units: SQLUnitsOfWork) -> None:
    for change in (
        replace(ADA, role=Role.VIEWER),
        replace(ADA, disabled_at=EPOCH),
        replace(ADA, scope=Scope(sites=(SiteName("lyon"),))),
    ):
        assert not await _changed(units, change)
    assert await reads.person(ADA.id) == ADA


async def _changed(units: SQLUnitsOfWork, person: Person) -> bool:
    try:
        async with units("test") as work:
            work.access.put_person(person)
            work.access.keep_an_admin()
    except Conflict:
        return False
    return True


async def test_of_two_admins_who_go_at_once_one_stays(reads: AccessReads, units: SQLUnitsOfWork) -> None:
    async with units("test") as work:
        work.access.put_person(replace(BOB, role=Role.ADMIN, scope=Scope()))

    leaving = [_changed(units, replace(person, role=Role.VIEWER)) for person in (ADA, BOB)]
    assert sorted(await asyncio.gather(*leaving)) == [False, True]


async def test_a_ticket_is_used_once_whoever_is_first(reads: AccessReads, units: SQLUnitsOfWork) -> None:
    ticket = Ticket(TicketId("l-1"), Purpose.SIGN_IN_LINK, ADA.id, bytes(32), EPOCH, EPOCH + HOUR)
    async with units("test") as work:
        work.access.add_ticket(ticket)
    assert await reads.ticket(ticket.id) == ticket

    async def use(purpose: Purpose = Purpose.SIGN_IN_LINK, after: timedelta = timedelta(0)) -> bool:
        try:
            async with units("test") as work:
                work.access.use_ticket(ticket.id, purpose, EPOCH + after)
        except Conflict:
            return False
        return True

    assert not await use(Purpose.PASSKEY_SIGN_IN)
    assert not await use(after=HOUR)
    assert sum(await asyncio.gather(*(use() for _ in range(8)))) == 1
    used = await reads.ticket(ticket.id)
    assert used is not None
    assert used.used_at == EPOCH


async def test_sessions_beyond_the_bound_end_oldest_first(reads: AccessReads, units: SQLUnitsOfWork) -> None:
    for number in range(4):
        async with units("test") as work:
            work.access.add_session(_session(number), keep=3)
    assert [one.id for one in await reads.sessions(ADA.id)] == ["s-3", "s-2", "s-1"]
    found = await reads.session(SessionId("s-3"))
    assert found == (_session(3), ADA)
    async with units("test") as work:
        work.access.end_sessions(ADA.id, EPOCH, besides=SessionId("s-3"))
        work.access.touch_session(SessionId("s-3"), EPOCH + 9 * HOUR)
        work.access.touch_session(SessionId("s-3"), EPOCH)
    (left,) = await reads.sessions(ADA.id)
    assert (left.id, left.last_used) == ("s-3", EPOCH + 9 * HOUR)


async def test_tokens_have_a_bound_and_are_revoked(reads: AccessReads, units: SQLUnitsOfWork) -> None:
    def token(number: int) -> Token:
        return Token(TokenId(f"t-{number}"), BOB.id, "ci", Role.VIEWER, bytes(32), EPOCH, EPOCH + HOUR, BOB.scope)

    for number in range(2):
        async with units("test") as work:
            work.access.add_token(token(number), keep=2)
    with pytest.raises(Conflict):
        async with units("test") as work:
            work.access.add_token(token(2), keep=2)
    async with units("test") as work:
        work.access.revoke_token(TokenId("t-0"), EPOCH)
        work.access.touch_token(TokenId("t-1"), EPOCH + HOUR)
    async with units("test") as work:
        work.access.add_token(token(2), keep=2)
    assert await reads.token(TokenId("t-0")) == (replace(token(0), revoked_at=EPOCH), BOB)
    assert [one.id for one in await reads.tokens(BOB.id, 10)] == ["t-0", "t-1", "t-2"]
    assert [one.id for one in await reads.tokens(None, 1, after="t-0")] == ["t-1"]
    assert await reads.tokens(ADA.id, 10) == []


async def test_a_passkeys_counter_moves_by_compare_and_set(reads: AccessReads, units: SQLUnitsOfWork) -> None:
    key = Passkey("AAEC", ADA.id, b"cose", 2**32 - 1, "laptop", EPOCH)
    async with units("test") as work:
        work.access.add_passkey(key, keep=1)
    for wrong in (key, replace(key, id="BBBB")):
        with pytest.raises(Conflict):
            async with units("test") as work:
                work.access.add_passkey(wrong, keep=1)
    async with units("test") as work:
        work.access.used_passkey("AAEC", 2**32 - 1, 5, EPOCH + HOUR)
    with pytest.raises(Conflict):
        async with units("test") as work:
            work.access.used_passkey("AAEC", 2**32 - 1, 6, EPOCH + HOUR)
    assert await reads.passkeys(ADA.id) == [replace(key, sign_count=5, last_used=EPOCH + HOUR)]
    with pytest.raises(Conflict):
        async with units("test") as work:
            work.access.remove_passkey(BOB.id, "AAEC")
    async with units("test") as work:
        work.access.remove_passkey(ADA.id, "AAEC")
    assert await reads.passkey("AAEC") is None


async def test_failures_are_counted_for_each_key_and_forgotten(reads: AccessReads, units: SQLUnitsOfWork) -> None:
    for number in range(3):
        async with units("test") as work:
            work.access.failed(["pair:ada@1", "account:ada"], EPOCH + number * HOUR)
    counted = await reads.failures(["pair:ada@1", "account:ada", "account:bob"], EPOCH, 2)
    assert counted == {
        "pair:ada@1": [EPOCH + 2 * HOUR, EPOCH + HOUR],
        "account:ada": [EPOCH + 2 * HOUR, EPOCH + HOUR],
        "account:bob": [],
    }
    async with units("test") as work:
        work.access.succeeded(["account:ada"])
        work.access.forget(EPOCH + 2 * HOUR)
    assert await reads.failures(["pair:ada@1", "account:ada"], EPOCH - HOUR, 9) == {
        "pair:ada@1": [EPOCH + 2 * HOUR],
        "account:ada": [],
    }


async def test_what_ended_long_ago_is_removed(reads: AccessReads, units: SQLUnitsOfWork) -> None:
    ticket = Ticket(TicketId("c-1"), Purpose.PASSKEY_SIGN_IN, None, bytes(32), EPOCH, EPOCH + HOUR)
    async with units("test") as work:
        work.access.add_ticket(ticket)
        work.access.add_session(_session(0), keep=9)
        work.access.add_session(_session(50), keep=9)
        work.access.forget(EPOCH + 40 * HOUR)
    assert await reads.ticket(ticket.id) is None
    assert await reads.session(SessionId("s-0")) is None
    assert await reads.session(SessionId("s-50")) is not None
