"""The ledger on SQLite and PostgreSQL: records in the transaction of their unit, and a tree that is always behind one signer."""

import asyncio
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from bastide.adapters.sql.database import Database
from bastide.adapters.sql.ledger_tree import SQLLedgerTree
from bastide.core.audit import Checkpoint, Personal
from bastide.core.error import Conflict, NotFound, Refused, Unavailable
from bastide.core.ids import RecordId
from bastide.core.merkle import includes, leaf_hash
from bastide.flows.sequence_ledger import DatabaseSetBack, Sequencer, refuse_rollback
from bastide.governance.audit.record import ERASED
from bastide.testing import FakeClock, MemorySigner, SequentialIds
from bastide.wire.checkpoint import open_checkpoint
from tests.domain.governance.audit import reference
from tests.ports import values
from tests.ports.ledgers import ORIGIN, Ledger, ledger_over
from tests.ports.values import A


async def test_the_root_is_that_of_the_rfc_over_the_stored_bytes(ledger: Ledger) -> None:
    for count in (1, 7, 300, 256, 3):
        await ledger.write(count)
        await ledger.integrate()
        checkpoint = await ledger.reads.checkpoint()
        assert checkpoint is not None
        assert checkpoint.root == reference.mth(await ledger.bodies())
        assert open_checkpoint(checkpoint.note, ledger.key) == checkpoint
    assert (await ledger.tree.state()).size == 567


async def test_a_record_comes_back_and_is_proved(ledger: Ledger) -> None:
    ids = await ledger.write(500)
    await ledger.integrate()
    record = await ledger.reads.get(ids[321])
    assert (record.id, record.kind, record.actor, record.body) == (ids[321], "test:made", "test", {"number": 321})
    proof = await ledger.reads.prove(ids[321])
    head = proof.checkpoint
    assert includes(leaf_hash(proof.leaf), proof.index, head.size, proof.path, head.root)
    assert list(proof.path) == reference.path(321, await ledger.bodies())


async def test_a_record_is_written_with_its_unit_or_not_at_all(ledger: Ledger) -> None:
    async with ledger.units("test") as work:
        work.devices.add(values.device())
        work.ledger.record("device:added", f"device:{A}", {})
    with pytest.raises(Conflict):  # noqa: PT012 (leaving the block is what is refused)
        async with ledger.units("test") as work:
            work.devices.add(values.device())
            work.ledger.record("device:added:twice", f"device:{A}", {})
    assert [record.kind for record in await ledger.reads.recent(10)] == ["device:added"]


async def test_many_writers_leave_no_gap_and_each_unit_stays_together(ledger: Ledger) -> None:
    await asyncio.gather(*(ledger.write(5, subject=f"device:{number}") for number in range(64)))
    positions = await ledger.database.read(
        lambda connection: list(connection.scalars(text("SELECT position FROM ledger_records ORDER BY position")))
    )
    assert positions == list(range(320))
    subjects = [record.subject for record in await ledger.reads.recent(400)]
    assert all(len(set(subjects[at : at + 5])) == 1 for at in range(0, 320, 5))


async def test_two_controllers_on_one_database_leave_no_gap(
    request: pytest.FixtureRequest, ledger: Ledger, clock: FakeClock
) -> None:
    if ledger.database.dialect == "sqlite":
        pytest.skip("SQLite is for one controller")
    other = Database.open(ledger.database.engine.url.render_as_string(hide_password=False))
    second = ledger_over(other, ledger.signer, SequentialIds("other"), clock)
    try:
        await asyncio.gather(*(each.write(3) for each in (ledger, second) for _ in range(40)))
        assert (await ledger.tree.state()).recorded == 240
        assert await ledger.tree.lead()
        assert not await second.tree.lead()
        await ledger.tree.close()
        assert await second.tree.lead()
        await second.integrate()
        assert await ledger.reads.checkpoint() == await second.reads.checkpoint()
    finally:
        await second.tree.close()
        await other.close()


async def test_lists_are_newest_first_by_subject_kind_and_page(ledger: Ledger) -> None:
    await ledger.write(3, "a:b", "device:1")
    await ledger.write(2, "a:c", "device:2")
    await ledger.write(2, "b:c", "device:1")
    everything = list(await ledger.reads.recent(100))
    assert [record.kind for record in everything] == ["b:c"] * 2 + ["a:c"] * 2 + ["a:b"] * 3
    assert await ledger.reads.recent(100, kind="a:") == everything[2:]
    assert await ledger.reads.recent(3, kind="a:", before=everything[2].id) == everything[3:6]
    assert await ledger.reads.recent(2, before=everything[5].id) == everything[6:]
    assert await ledger.reads.about("device:1", 4) == everything[:2] + everything[4:6]
    with pytest.raises(NotFound):
        await ledger.reads.get(RecordId("r-none"))


async def test_a_running_sequencer_brings_a_record_under_a_checkpoint(ledger: Ledger) -> None:
    ledger.database.on_committed(ledger.sequencer.wake)
    running = asyncio.create_task(ledger.sequencer.run())
    try:
        for _ in range(3):
            ids = await ledger.write(10)
            async with asyncio.timeout(5):
                assert (await ledger.reads.integrated(ids[-1])).size % 10 == 0
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_sequencer_waits_for_a_signer_that_is_away(ledger: Ledger) -> None:
    ledger.signer.stop()
    ids = await ledger.write(1)
    with pytest.raises(Unavailable):
        await ledger.sequencer.integrate()
    ledger.database.on_committed(ledger.sequencer.wake)
    running = asyncio.create_task(ledger.sequencer.run())
    try:
        await asyncio.sleep(0)
        ledger.signer.start()
        async with asyncio.timeout(5):
            assert (await ledger.reads.integrated(ids[0])).size == 1
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_round_is_done_in_bounded_steps(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bastide.flows.sequence_ledger.ROUND_RECORDS", 100)
    await ledger.write(350)
    sizes = []
    while (checkpoint := await ledger.sequencer.integrate()) is not None:
        sizes.append(checkpoint.size)
    assert sizes == [100, 200, 300, 350]


class Crash(Exception):
    """The process ends here."""


class DyingTree:
    """The tree of a process that ends at one step of a round, before or after it took hold."""

    def __init__(self, tree: SQLLedgerTree, step: str, after: bool) -> None:
        self._tree, self._step, self._after = tree, step, after

    def __getattr__(self, name: str) -> object:
        if name != self._step:
            return getattr(self._tree, name)

        async def die(*arguments: object) -> None:
            if self._after:
                await getattr(self._tree, name)(*arguments)
            raise Crash

        return die


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["state", "edge", "leaves", "consistency", "store"])
async def test_a_crash_at_any_step_of_a_round_loses_nothing(ledger: Ledger, step: str, after: bool) -> None:
    await ledger.write(300)
    await ledger.integrate()
    await ledger.write(50)
    dying = Sequencer(DyingTree(ledger.tree, step, after), ledger.signer, ORIGIN)  # type: ignore[arg-type]
    with pytest.raises(Crash):
        await dying.integrate()
    await ledger.write(20)
    await refuse_rollback(ledger.tree, ledger.signer, ORIGIN)
    again = Sequencer(ledger.tree, ledger.signer, ORIGIN)
    while await again.integrate() is not None:
        pass
    checkpoint = await ledger.reads.checkpoint()
    assert checkpoint is not None
    assert (checkpoint.size, checkpoint.root) == (370, reference.mth(await ledger.bodies()))
    assert await ledger.signer.last_checkpoint() == (370, checkpoint.root)


async def test_a_signed_head_that_was_not_stored_is_stored_by_the_next_start(ledger: Ledger) -> None:
    await ledger.write(5)
    dying = Sequencer(DyingTree(ledger.tree, "store", False), ledger.signer, ORIGIN)  # type: ignore[arg-type]
    with pytest.raises(Crash):
        await dying.integrate()
    assert await ledger.reads.checkpoint() is None
    await refuse_rollback(ledger.tree, ledger.signer, ORIGIN)
    await Sequencer(ledger.tree, ledger.signer, ORIGIN).integrate()
    checkpoint = await ledger.reads.checkpoint()
    assert checkpoint is not None
    assert open_checkpoint(checkpoint.note, ledger.key).size == 5


async def test_a_second_sequencer_that_lost_the_race_changes_nothing(ledger: Ledger) -> None:
    await ledger.write(5)
    stale = await ledger.tree.state()
    await ledger.integrate()
    with pytest.raises(Conflict):
        await ledger.tree.store(stale, [], Checkpoint(ORIGIN, 5, bytes(32), "forged"))


async def test_yesterdays_copy_of_the_database_is_refused(
    tmp_path: Path, migrated_sqlite: Path, clock: FakeClock
) -> None:
    live, yesterday = tmp_path / "state.db", tmp_path / "yesterday.db"
    shutil.copy(migrated_sqlite, live)
    signer, ids = MemorySigner(clock), SequentialIds()

    async def day(path: Path, records: int) -> None:
        database = Database.open(f"sqlite:///{path}")
        try:
            ledger = ledger_over(database, signer, ids, clock)
            await refuse_rollback(ledger.tree, signer, ORIGIN)
            await ledger.write(records)
            await ledger.integrate()
        finally:
            await database.close()

    await day(live, 40)
    shutil.copy(live, yesterday)
    await day(live, 30)
    await day(live, 0)  # today's copy starts
    with pytest.raises(DatabaseSetBack, match="older copy"):
        await day(yesterday, 0)

    # Written on until it is long enough again, it is still not the ledger that was signed.
    database = Database.open(f"sqlite:///{yesterday}")
    try:
        forked = ledger_over(database, signer, SequentialIds("fork"), clock)
        await forked.write(40)
        with pytest.raises(DatabaseSetBack, match="not those that the signer signed"):
            await refuse_rollback(forked.tree, signer, ORIGIN)
        with pytest.raises(Refused):
            await forked.sequencer.integrate()
    finally:
        await database.close()


async def test_a_database_and_a_signer_that_do_not_belong_together_are_refused(
    ledger: Ledger, clock: FakeClock
) -> None:
    await refuse_rollback(ledger.tree, ledger.signer, ORIGIN)  # both new
    await ledger.write(3)
    await refuse_rollback(ledger.tree, ledger.signer, ORIGIN)  # records, no checkpoint yet
    await ledger.integrate()
    with pytest.raises(DatabaseSetBack, match="has signed none"):
        await refuse_rollback(ledger.tree, MemorySigner(clock), ORIGIN)
    with pytest.raises(DatabaseSetBack, match="bastide/other"):
        await refuse_rollback(ledger.tree, ledger.signer, "bastide/other")


async def test_a_person_can_be_erased_and_the_tree_does_not_change(ledger: Ledger) -> None:
    async with ledger.units(Personal("ada@example.org")) as work:
        first = work.ledger.record("person:added", "person:1", {"mail": Personal("ada@example.org"), "role": "admin"})
        second = work.ledger.record("person:seen", "person:2", {"mail": Personal("bob@example.org")}, actor="system")
    await ledger.integrate()
    before = await ledger.reads.checkpoint()
    assert b"ada@" not in b"".join(await ledger.bodies())
    assert (await ledger.reads.get(first)).body["mail"] == Personal("ada@example.org")

    facts = await ledger.reads.personal("ada@example.org")
    assert len(facts) == 2
    async with ledger.units("operator") as work:
        work.ledger.erase(facts)
    erased = await ledger.reads.get(first)
    assert (erased.body, erased.actor) == ({"mail": ERASED, "role": "admin"}, ERASED)
    assert (await ledger.reads.get(second)).body["mail"] == Personal("bob@example.org")
    assert await ledger.reads.personal("ada@example.org") == []
    await ledger.integrate()
    after = await ledger.reads.checkpoint()
    assert before is not None
    assert after is not None
    assert after.size == before.size + 1
    assert reference.mth((await ledger.bodies())[: before.size]) == before.root


async def test_text_that_a_database_cannot_hold_does_not_stop_a_record(ledger: Ledger) -> None:
    async with ledger.units("test") as work:
        written = work.ledger.record("a:b", "device:\0\ud800", {"name": "\0\ud800", "who": Personal("\0\ud800")})
    assert (await ledger.reads.get(written)).subject == "device:�?"
