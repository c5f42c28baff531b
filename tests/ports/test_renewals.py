"""Who is late to renew, over SQLite and PostgreSQL; and the alarm when a class stopped."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bastide.adapters.sql.database import Database
from bastide.adapters.sql.ledger_reads import LedgerReads
from bastide.adapters.sql.units import SQLStores, SQLUnitsOfWork
from bastide.core.evidence import Subject, SubjectKind
from bastide.core.ids import DeviceClass, DeviceId, SiteName
from bastide.core.plan import CredentialState
from bastide.core.standing import Standing
from bastide.device.credential.issuance import Purpose
from bastide.device.credential.renewal import Life, Lives, stopped
from bastide.flows.watch_renewals import STOPPED, RenewalWatch
from bastide.testing import FakeClock, SequentialIds
from bastide.testing.clock import EPOCH
from tests.ports.test_credentials import MONTH, certificate, issuance
from tests.ports.values import device

CAMERA = DeviceClass("camera")


async def a_fleet(database: Database, clock: FakeClock, ids: SequentialIds, count: int) -> list[DeviceId]:
    """Devices whose certificates all began now, at one site."""
    units, made = SQLUnitsOfWork(database, clock, ids), [DeviceId(f"d-{chr(97 + n) * 20}") for n in range(count)]
    for number, id in enumerate(made, 1):
        async with units("test") as work:
            work.devices.add(replace(device(id), device_class=CAMERA, site=SiteName("lyon"), standing=Standing.TRUSTED))
            work.credentials.intend(issuance(number, id))
            work.credentials.issued(replace(certificate(number, id), algorithm="P-256"))
    return made


async def renew(database: Database, clock: FakeClock, ids: SequentialIds, id: DeviceId, number: int) -> None:
    begins = clock.now()
    asked = replace(
        issuance(number, id), purpose=Purpose.RENEW, not_before=begins, not_after=begins + MONTH, claim=None
    )
    async with SQLUnitsOfWork(database, clock, ids)("test") as work:
        work.credentials.intend(asked)
        work.credentials.issued(
            replace(certificate(number, id), not_before=begins, not_after=begins + MONTH, algorithm="P-384")
        )


@pytest.mark.parametrize(
    ("passed", "life"),
    [
        (timedelta(0), Life.FRESH),
        (timedelta(days=20) - timedelta(microseconds=1), Life.FRESH),
        (timedelta(days=20), Life.DUE),
        (timedelta(days=25) - timedelta(microseconds=1), Life.DUE),
        (timedelta(days=25), Life.LATE),
        (timedelta(days=30) - timedelta(microseconds=1), Life.LATE),
        (timedelta(days=30), Life.ENDED),
    ],
)
async def test_where_a_certificate_is_in_its_life(
    database: Database, clock: FakeClock, ids: SequentialIds, passed: timedelta, life: Life
) -> None:
    (one,) = await a_fleet(database, clock, ids, 1)
    reads = SQLStores(database).credentials
    assert await reads.lives(EPOCH + passed) == [Lives(CAMERA, SiteName("lyon"), "P-256", life, 1)]
    late = await reads.late(EPOCH + passed, 10)
    assert [each.device for each in late] == ([one] if life is Life.LATE else [])


async def test_the_newest_certificate_counts_and_neither_revoked_ones_nor_retired_devices_do(
    database: Database, clock: FakeClock, ids: SequentialIds
) -> None:
    first, second, third = await a_fleet(database, clock, ids, 3)
    clock.advance(timedelta(days=26))
    await renew(database, clock, ids, first, 11)
    reads, units = SQLStores(database).credentials, SQLUnitsOfWork(database, clock, ids)
    retired = await SQLStores(database).devices.get(third)
    async with units("test") as work:
        work.devices.put(replace(retired, standing=Standing.RETIRED))
    assert [(one.algorithm, one.life, one.count) for one in await reads.lives(clock.now())] == [
        ("P-256", Life.LATE, 1),
        ("P-384", Life.FRESH, 1),
    ]
    assert [one.device for one in await reads.late(clock.now(), 10)] == [second]
    assert await reads.late(clock.now(), 10, second) == []
    assert await reads.renewed(clock.now() - timedelta(days=1)) == {CAMERA: 1}
    # The renewed one is revoked: what it had before is what counts.
    async with units("test") as work:
        work.credentials.supersede(first, "1", clock.now())
    assert {one.device for one in await reads.late(clock.now(), 10)} == {first, second}
    newest = await reads.certificate_by_serial("b")
    assert newest is not None
    assert newest.state is CredentialState.REVOKED


async def test_a_class_that_stops_renewing_is_an_alarm_once_a_day_and_each_late_device_is_told_once(
    database: Database, clock: FakeClock, ids: SequentialIds
) -> None:
    made = await a_fleet(database, clock, ids, 12)
    clock.advance(timedelta(days=24))
    for number, id in enumerate(made[:6]):
        await renew(database, clock, ids, id, 100 + number)
    stores, ledger = SQLStores(database), LedgerReads(database)
    watch = RenewalWatch(SQLUnitsOfWork(database, clock, ids), stores.credentials, stores.evidence, ledger, clock)
    assert await watch.look() == []
    clock.advance(timedelta(days=2))
    (alarm,) = await watch.look()
    assert (alarm.late, alarm.renewed) == (6, 6)
    await watch.look()
    assert len(await ledger.recent(100, STOPPED)) == 1
    facts = await stores.evidence.recent(Subject(SubjectKind.DEVICE, made[-1]), 10)
    assert [fact.kind for fact in facts] == ["identity.renewal.late"]
    assert await stores.evidence.recent(Subject(SubjectKind.DEVICE, made[0]), 10) == []
    clock.advance(timedelta(days=1))
    await watch.look()
    assert len(await ledger.recent(100, STOPPED)) == 2


def test_a_few_devices_or_a_small_share_are_no_alarm() -> None:
    assert stopped(CAMERA, 4, 0) is None
    assert stopped(CAMERA, 100, 700) is None
    assert stopped(CAMERA, 5, 5) is not None
