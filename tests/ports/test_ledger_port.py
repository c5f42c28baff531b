"""The ledger as flows see it: one suite over the one in memory and the one in the database."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bastide.adapters.sql.database import Database
from bastide.adapters.sql.ledger_reads import LedgerReads
from bastide.adapters.sql.ledger_tree import SQLLedgerTree
from bastide.adapters.sql.units import SQLUnitsOfWork
from bastide.core.audit import Personal
from bastide.core.error import NotFound, Unavailable
from bastide.core.ids import RecordId
from bastide.core.merkle import includes, leaf_hash
from bastide.flows.sequence_ledger import Sequencer
from bastide.governance.audit.record import read_record
from bastide.ports.platform.ledger import Ledger
from bastide.ports.platform.units import UnitsOfWork
from bastide.testing import FakeClock, MemorySigner, MemoryState, SequentialIds
from bastide.wire.checkpoint import open_checkpoint
from bastide.wire.note import VerifierKey
from tests.ports.conftest import next_number


@dataclass(frozen=True, slots=True)
class Books:
    """A ledger, who writes it and who signs it."""

    ledger: Ledger
    units: UnitsOfWork
    signer: MemorySigner

    async def write(self, count: int, kind: str = "test:made", subject: str = "device:d-1") -> list[RecordId]:
        async with self.units("system:test") as work:
            return [work.ledger.record(kind, subject, {"number": number}) for number in range(count)]


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def books(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock, ids: SequentialIds
) -> AsyncIterator[Books]:
    signer = MemorySigner(clock)
    if request.param == "memory":
        state = MemoryState(clock, ids, signer)
        yield Books(state.ledger, state.units, signer)
        return
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "state.db")
        url = f"sqlite:///{tmp_path / 'state.db'}"
    else:
        template = request.getfixturevalue("migrated_postgresql")
        url = request.getfixturevalue("postgresql").create(f"l{next_number()}", template)
    database = Database.open(url)
    reads, tree = LedgerReads(database), SQLLedgerTree(database)
    sequencer = Sequencer(tree, signer, "bastide.test/ledger", reads.announce)
    database.on_committed(sequencer.wake)
    running = asyncio.create_task(sequencer.run())
    yield Books(reads, SQLUnitsOfWork(database, clock, ids), signer)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await tree.close()
    await database.close()


async def test_a_record_comes_back_with_all_that_it_says(books: Books) -> None:
    async with books.units("system:test") as work:
        wanted = work.ledger.record(
            "operator:device:released",
            "device:d-1",
            {"reason": "reparée", "rules": ["a", "b"], "count": 3, "ratio": 0.5, "none": None},
            actor=Personal("ada@example.org"),
        )
    record = await books.ledger.get(wanted)
    assert (record.id, record.kind, record.subject) == (wanted, "operator:device:released", "device:d-1")
    assert record.actor == Personal("ada@example.org")
    assert record.body == {"reason": "reparée", "rules": ["a", "b"], "count": 3, "ratio": 0.5, "none": None}
    assert record.at.tzinfo is not None


async def test_what_is_not_there_is_not_found(books: Books) -> None:
    missing = RecordId("r-aaaaaaaaaaaaaaaaaaaa")
    for ask in (books.ledger.get, books.ledger.integrated, books.ledger.prove):
        with pytest.raises(NotFound):
            await ask(missing)


async def test_records_are_read_newest_first_by_subject_kind_and_page(books: Books) -> None:
    first = await books.write(3, "device:enrolled")
    other = await books.write(2, "device:renewed", "device:d-2")
    last = await books.write(2, "decision:made")
    assert [each.id for each in await books.ledger.about("device:d-2", 10)] == other[::-1]
    assert [each.id for each in await books.ledger.about("device:d-1", 3)] == [*last[::-1], first[-1]]
    assert [each.id for each in await books.ledger.recent(3)] == [*last[::-1], other[-1]]
    assert [each.id for each in await books.ledger.recent(10, "device:")] == [*other[::-1], *first[::-1]]
    assert [each.id for each in await books.ledger.recent(2, before=other[0])] == first[:0:-1]


async def test_every_record_is_proved_under_a_checkpoint_that_the_signer_signed(books: Books) -> None:
    key = VerifierKey("bastide.test/ledger", books.signer.checkpoint_key.public_key().public_bytes_raw())
    for count in (1, 4, 3):
        for wanted in await books.write(count):
            proof = await books.ledger.prove(wanted)
            head = open_checkpoint(proof.checkpoint.note, key)
            assert (head.size, head.root) == (proof.checkpoint.size, proof.checkpoint.root)
            assert includes(leaf_hash(proof.leaf), proof.index, head.size, proof.path, head.root)
            assert read_record(proof.leaf).id == wanted


async def test_facts_about_people_are_not_in_the_tree(books: Books) -> None:
    async with books.units(Personal("ada@example.org")) as work:
        wanted = work.ledger.record("person:added", "person:p-1", {"name": Personal("Ada Lovelace")})
    leaf = (await books.ledger.prove(wanted)).leaf
    assert b"ada@example.org" not in leaf
    assert b"Lovelace" not in leaf


async def test_integration_waits_for_the_signer_and_goes_on_by_itself(books: Books) -> None:
    (first,) = await books.write(1)
    before = await books.ledger.integrated(first)
    books.signer.stop()
    (second,) = await books.write(1)  # writing does not need the signer
    waiting = asyncio.create_task(_integrated(books, second))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert await books.ledger.checkpoint() == before
    books.signer.start()
    after = await asyncio.wait_for(waiting, 10)
    assert after is not None
    assert after > before.size


async def _integrated(books: Books, record: RecordId) -> int:
    """The one in memory integrates when it is asked, and says that it cannot; whoever asks it asks again."""
    while True:
        try:
            return (await books.ledger.integrated(record)).size
        except Unavailable:
            await asyncio.sleep(0.01)


async def test_a_sequencer_that_is_cancelled_while_it_is_woken_ends(clock: FakeClock, ids: SequentialIds) -> None:
    """Both in one turn of the event loop: the wake-up must not swallow the cancellation."""
    signer = MemorySigner(clock)

    class Idle:
        async def lead(self) -> bool:
            return False

    sequencer = Sequencer(Idle(), signer, "bastide.test/ledger")  # type: ignore[arg-type]
    running = asyncio.create_task(sequencer.run())
    for _ in range(4):
        await asyncio.sleep(0)
    sequencer.wake(())
    await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=5)
    running.cancel()
    assert done == {running}
