"""Claims, issuances, certificates and the two points that are tables: one suite over SQLite and PostgreSQL."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from bastide.adapters.sql.database import Database
from bastide.adapters.sql.enforcers import CredentialEnforcer, UpdateEnforcer
from bastide.adapters.sql.units import SQLStores, SQLUnitsOfWork
from bastide.core.error import Conflict, Refused
from bastide.core.ids import ClaimId, DeviceClass, DeviceId, OwnerName, RecordId, RequestId, SiteName
from bastide.core.plan import BrokerGrant, CredentialState, Plan, UpdateEligibility
from bastide.core.standing import Standing
from bastide.device.credential.claim import Claim, ClaimState
from bastide.device.credential.issuance import Certificate, Issuance, Progress, Purpose
from bastide.testing import FakeClock, SequentialIds
from bastide.testing.clock import EPOCH
from tests.ports.values import HOUR, A, B

MONTH = timedelta(days=30)


class Store:
    def __init__(self, database: Database, clock: FakeClock, ids: SequentialIds) -> None:
        self.units = SQLUnitsOfWork(database, clock, ids)
        self.reads = SQLStores(database).credentials
        self.credential = CredentialEnforcer(database, clock)
        self.update = UpdateEnforcer(database, clock)


@pytest.fixture
def store(database: Database, clock: FakeClock, ids: SequentialIds) -> Store:
    return Store(database, clock, ids)


def claim(number: int = 1) -> Claim:
    return Claim(
        id=ClaimId(f"c-{number:020d}"),
        digest="0" * 64,
        device_class=DeviceClass("camera"),
        owner=OwnerName("facilities"),
        site=SiteName("lyon"),
        created_at=EPOCH + timedelta(seconds=number),
        created_by="person:p",
        expires_at=EPOCH + HOUR,
        name="Porte d'entrée",
    )


def issuance(number: int = 1, device: DeviceId = A, key: str = "") -> Issuance:
    return Issuance(
        request=RequestId(f"enrol:{number:020d}"),
        purpose=Purpose.ENROL,
        device=device,
        device_class=DeviceClass("camera"),
        owner=OwnerName("facilities"),
        site=SiteName("lyon"),
        claim=claim(number).id,
        csr=bytes(range(256)),
        key=key or f"{number:064d}",
        not_before=EPOCH,
        not_after=EPOCH + MONTH,
        record=RecordId("r-1"),
    )


def certificate(number: int = 1, device: DeviceId = A) -> Certificate:
    return Certificate(
        serial=f"{number:x}",
        device=device,
        fingerprint=f"{number:064d}",
        key=f"{number:064d}",
        not_before=EPOCH,
        not_after=EPOCH + MONTH,
        issued_at=EPOCH + timedelta(seconds=number),
        request=RequestId(f"enrol:{number:020d}"),
        der=b"\x30\x00",
    )


def plan(generation: int, credential: CredentialState, update: UpdateEligibility = UpdateEligibility.NORMAL) -> Plan:
    return Plan(A, generation, Standing.TRUSTED, BrokerGrant(), credential, update, EPOCH)


async def issue(store: Store, number: int = 1, device: DeviceId = A) -> None:
    async with store.units("test") as work:
        work.credentials.intend(issuance(number, device))
    async with store.units("test") as work:
        work.credentials.issued(certificate(number, device))


async def test_claims_come_back_as_written_newest_first(store: Store) -> None:
    for number in range(1, 6):
        async with store.units("test") as work:
            work.credentials.add_claim(claim(number))
    assert await store.reads.claim(claim(3).id) == claim(3)
    assert await store.reads.claim(ClaimId("c-none")) is None
    first = await store.reads.claims(3)
    assert [one.id for one in first] == [claim(number).id for number in (5, 4, 3)]
    assert [one.id for one in await store.reads.claims(3, first[-1].id)] == [claim(number).id for number in (2, 1)]


async def test_of_many_uses_of_a_claim_at_once_one_is_committed(store: Store) -> None:
    async with store.units("test") as work:
        work.credentials.add_claim(claim())

    async def use(number: int) -> bool:
        try:
            async with store.units("test") as work:
                work.credentials.use_claim(claim().id, RequestId(f"enrol:{number}"), EPOCH)
                work.credentials.intend(issuance(number, key=f"{number:064x}"))
        except Conflict:
            return False
        return True

    won = await asyncio.gather(*(use(number) for number in range(1, 31)))
    assert won.count(True) == 1
    stored = await store.reads.claim(claim().id)
    assert stored is not None
    assert (stored.state, stored.request) == (ClaimState.USED, f"enrol:{won.index(True) + 1}")
    assert len(await store.reads.unfinished(99)) == 1, "the losers' intents must not be there"


async def test_an_expired_used_or_revoked_claim_cannot_be_used(store: Store) -> None:
    async with store.units("test") as work:
        work.credentials.add_claim(claim())
    with pytest.raises(Conflict):
        async with store.units("test") as work:
            work.credentials.use_claim(claim().id, RequestId("enrol:1"), EPOCH + HOUR)
    async with store.units("test") as work:
        work.credentials.revoke_claim(claim().id, EPOCH)
    for _ in range(2):
        with pytest.raises(Conflict):
            async with store.units("test") as work:
                work.credentials.use_claim(claim().id, RequestId("enrol:1"), EPOCH)
        with pytest.raises(Conflict):
            async with store.units("test") as work:
                work.credentials.revoke_claim(claim().id, EPOCH)


async def test_an_issuance_ends_once(store: Store) -> None:
    await issue(store)
    stored = await store.reads.issuance(issuance().request)
    assert stored == replace(issuance(), progress=Progress.ISSUED)
    assert await store.reads.certificate_for(issuance().request) == certificate()
    assert await store.reads.certificate(certificate().fingerprint) == certificate()
    assert await store.reads.unfinished(9) == []
    with pytest.raises(Conflict):
        async with store.units("test") as work:
            work.credentials.issued(replace(certificate(2), request=issuance().request))
    with pytest.raises(Conflict):
        async with store.units("test") as work:
            work.credentials.refused(issuance().request)
    assert [one.serial for one in await store.reads.certificates(A, 9)] == ["1"]


async def test_two_devices_do_not_share_a_key_but_one_may_keep_its_own(store: Store) -> None:
    await issue(store)
    async with store.units("test") as work:
        work.credentials.intend(replace(issuance(2), key=issuance(1).key))
    with pytest.raises(Refused) as refused:
        async with store.units("test") as work:
            work.credentials.intend(replace(issuance(3, B), key=issuance(1).key))
    assert refused.value.reason == "enrolment:key:shared"


async def test_a_refused_issuance_leaves_its_key_free(store: Store) -> None:
    async with store.units("test") as work:
        work.credentials.intend(issuance(1))
    async with store.units("test") as work:
        work.credentials.refused(issuance(1).request)
    async with store.units("test") as work:
        work.credentials.intend(replace(issuance(2, B), key=issuance(1).key))


async def test_certificates_follow_the_plan_and_a_revoked_one_stays_revoked(store: Store, clock: FakeClock) -> None:
    await issue(store, 1)
    await issue(store, 2)
    await issue(store, 3, B)
    assert await store.reads.held(A) is None
    for generation, state in ((1, CredentialState.SUSPENDED), (2, CredentialState.VALID), (2, CredentialState.VALID)):
        assert (await store.credential.apply(plan(generation, state))).holds == state.value
    async with store.units("test") as work:
        work.credentials.must_be_valid("1")
    clock.advance(5)
    assert (await store.credential.apply(plan(3, CredentialState.REVOKED))).holds == "revoked"
    assert await store.reads.revoked(clock.now(), 9, ["", "ab"]) == [(1, clock.now()), (2, clock.now())]
    assert await store.reads.revoked(clock.now(), 9, ["ab"]) == []
    assert await store.reads.by_issuer(clock.now()) == {"": 3}
    assert (await store.credential.apply(plan(4, CredentialState.VALID))).holds == "revoked"
    with pytest.raises(Conflict):
        async with store.units("test") as work:
            work.credentials.must_be_valid("1")
    assert [one.state for one in await store.reads.certificates(B, 9)] == [CredentialState.VALID]


async def test_an_older_plan_is_refused_and_changes_nothing(store: Store) -> None:
    await issue(store)
    await store.credential.apply(plan(5, CredentialState.SUSPENDED))
    await store.update.apply(plan(5, CredentialState.SUSPENDED, UpdateEligibility.REPAIR))
    for apply in (store.credential.apply, store.update.apply):
        with pytest.raises(Refused) as refused:
            await apply(plan(4, CredentialState.VALID))
        assert refused.value.reason == "plan:generation:stale"
    assert await store.reads.held(A) == (CredentialState.SUSPENDED, UpdateEligibility.REPAIR)
    assert [one.state for one in await store.reads.certificates(A, 9)] == [CredentialState.SUSPENDED]


async def test_of_plans_at_once_the_newest_holds(store: Store) -> None:
    await issue(store)
    states = list(CredentialState)[:2]

    async def apply(generation: int) -> None:
        with suppress(Refused):  # as stale
            await store.credential.apply(plan(generation, states[generation % 2]))

    await asyncio.gather(*(apply(generation) for generation in (7, 3, 20, 11, 19, 2, 18)))
    assert [one.state for one in await store.reads.certificates(A, 9)] == [states[0]]


async def test_a_certificate_that_was_under_way_while_its_device_was_suspended_is_suspended(store: Store) -> None:
    async with store.units("test") as work:
        work.credentials.intend(issuance())
    await store.credential.apply(plan(1, CredentialState.SUSPENDED))
    async with store.units("test") as work:
        work.credentials.issued(certificate())
    assert [one.state for one in await store.reads.certificates(A, 9)] == [CredentialState.SUSPENDED]


async def test_what_ended_long_ago_is_forgotten(store: Store, clock: FakeClock) -> None:
    async with store.units("test") as work:
        work.credentials.add_claim(claim())
    await issue(store)
    async with store.units("test") as work:
        work.credentials.forget(EPOCH + MONTH)
    assert await store.reads.claims(9) == []
    assert len(await store.reads.certificates(A, 9)) == 1
    async with store.units("test") as work:
        work.credentials.forget(EPOCH + MONTH + HOUR)
    assert await store.reads.certificates(A, 9) == []
    assert await store.reads.issuance(issuance().request) is None
