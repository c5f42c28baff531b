"""Old rows go; what a decision may still need stays, however old."""

from datetime import timedelta

from bastide.adapters.sql.database import Database
from bastide.adapters.sql.housekeeping import SQLHousekeeping
from bastide.adapters.sql.units import SQLStores, SQLUnitsOfWork
from bastide.core.conversation import Conversation
from bastide.core.decision import Decision
from bastide.core.evidence import Evidence, Subject, SubjectKind, Trust
from bastide.core.ids import DeviceId, EvidenceId
from bastide.core.standing import Standing
from bastide.ports.platform.conversations import Wanted
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


async def test_old_conversations_go_by_the_hour(database: Database, clock: FakeClock, ids: SequentialIds) -> None:
    units, now = SQLUnitsOfWork(database, clock, ids), clock.now()
    old = [now - timedelta(days=100), now - timedelta(days=100, hours=-1), now - timedelta(days=1)]
    async with units("system:test") as work:
        said = [Conversation(LAMP, "192.0.2.1", "", "tcp", 443, "tls", True, 1, 1, 1, 1, 1, at, at) for at in old]
        work.conversations.add("main/eth0", "1", now, said)
    rows = SQLHousekeeping(database)
    assert [await rows.conversations(now - timedelta(days=90)) for _ in range(3)] == [1, 1, 0]
    left = await SQLStores(database).conversations.list(Wanted(now - timedelta(days=200), now))
    assert [one.first_seen for one in left] == [old[2]]
