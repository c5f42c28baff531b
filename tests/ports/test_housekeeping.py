"""Old rows go; what a decision may still need stays, however old."""

from datetime import timedelta

from bastide.adapters.sql.database import Database
from bastide.adapters.sql.housekeeping import SQLHousekeeping
from bastide.adapters.sql.units import SQLStores, SQLUnitsOfWork
from bastide.core.decision import Decision
from bastide.core.evidence import Evidence, Subject, SubjectKind, Trust
from bastide.core.ids import DeviceId, EvidenceId
from bastide.core.standing import Standing
from bastide.testing import FakeClock, SequentialIds

LAMP = DeviceId("d-" + "a" * 20)


async def test_old_evidence_goes_but_the_newest_of_each_kind_stays(
    database: Database, clock: FakeClock, ids: SequentialIds
) -> None:
    subject, units = Subject(SubjectKind.DEVICE, LAMP), SQLUnitsOfWork(database, clock, ids)
    now = clock.now()

    def fact(kind: str, days_ago: int) -> Evidence:
        at = now - timedelta(days=days_ago)
        return Evidence(EvidenceId(ids.mint("e")), kind, subject, "test", Trust.MEASURED, at, at)

    async with units("system:test") as work:
        work.evidence.add([fact("broker.publish.denied", days) for days in range(100, 200)])
        work.evidence.add([fact("operator.quarantine", 5000)])
    rows = SQLHousekeeping(database)
    assert await rows.evidence(now - timedelta(days=90)) == 100 - 32
    assert await rows.evidence(now - timedelta(days=90)) == 0
    left = await SQLStores(database).evidence.recent(subject, 1000)
    assert len(left) == 32 + 1
    assert left[0].observed_at == now - timedelta(days=100)


async def test_old_decisions_go_but_the_latest_of_each_device_stays(
    database: Database, clock: FakeClock, ids: SequentialIds
) -> None:
    units, now = SQLUnitsOfWork(database, clock, ids), clock.now()
    async with units("system:test") as work:
        for days in (300, 200, 100):
            at = now - timedelta(days=days)
            work.decisions.put(Decision(LAMP, Standing.TRUSTED, Standing.PENDING, "because", (), "p", at, None))
    rows = SQLHousekeeping(database)
    assert await rows.decisions(now - timedelta(days=90)) == 2
    latest = await SQLStores(database).decisions.latest(LAMP)
    assert latest is not None
    assert latest.at == now - timedelta(days=100)
